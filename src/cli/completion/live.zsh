# What the daemon knows is asked for; what it does not is completed as below.
_team_agentctl_live() {
    local answer line mode
    local -a lines values shown
    answer="$(command team-agentctl __complete zsh '' "${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)" || return 1
    lines=("${(@f)answer}")
    mode=$lines[1]
    for line in "${(@)lines[2,-1]}"; do
        values+=("${line%%$'\t'*}")
        shown+=("${line/$'\t'/  -- }")
    done
    [[ $PREFIX == --*=* ]] && compset -P "${PREFIX%%=*}="
    compadd -l -d shown -a values
    [[ $mode == also ]] && _files
    (( compstate[nmatches] ))
}


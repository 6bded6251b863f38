
# What the daemon knows is asked for; what it does not is completed as above.
_team_agentctl_live() {
    local line=$COMP_LINE words=() piece candidate mode answer i
    # bash parts words at = and : too: they are put together again.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        piece=${COMP_WORDS[i]}
        if [[ $i -eq 0 || $line == [[:blank:]]* ]]; then
            line=${line#"${line%%[![:blank:]]*}"}
            words+=("$piece")
        else
            words[${#words[@]}-1]+=$piece
        fi
        line=${line#"$piece"}
    done
    answer=$(command team-agentctl __complete bash "$piece" "${words[@]}" 2>/dev/null) || return 1
    COMPREPLY=()
    {
        IFS= read -r mode
        while IFS= read -r candidate; do COMPREPLY+=("$candidate"); done
    } <<< "$answer"
    # Where any file fits as well, those that are there come first.
    [[ $mode == only || -z $(compgen -f -- "$piece") ]] || { COMPREPLY=(); return 1; }
}

_team_agentctl_asking() {
    _team_agentctl_live || _team__agentctl "$@"
}


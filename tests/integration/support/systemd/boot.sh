#!/usr/bin/env bash
# Becomes pid 1 of a machine of its own: a real systemd over a throw-away copy of this machine's files.
#
# To be run as the first process of new pid, mount, uts, ipc, net and cgroup namespaces. $BOX is an empty directory; $BUILD
# is shown at /opt/team-agentd, read-only. Everything written in there lives in memory and ends with it.
set -euo pipefail

mount --make-rprivate /
mount -t tmpfs -o mode=755 box "$BOX"
mkdir "$BOX"/{upper,work,root}
mount -t overlay -o "lowerdir=/,upperdir=$BOX/upper,workdir=$BOX/work" box "$BOX/root"
cd "$BOX/root"

mount -t proc -o nosuid,nodev,noexec proc proc
# What is the whole kernel's is not written to from in here.
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs sys
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755,nosuid tmpfs dev
for device in null zero full random urandom tty; do
    touch "dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for number in 0:stdin 1:stdout 2:stderr; do ln -s "fd/${number%%:*}" "dev/${number#*:}"; done
for place in run tmp; do mount -t tmpfs -o nosuid,nodev tmpfs $place; done
chmod 755 run
chmod 1777 tmp

# A machine without a name, without volumes and without any service of this one's.
echo box > etc/hostname
echo 0123456789abcdef0123456789abcdef > etc/machine-id
: > etc/fstab
rm -rf etc/systemd/system/*.wants etc/systemd/system/*.requires etc/systemd/user/*.wants
for unit in systemd-{networkd,resolved,timesyncd,udevd,udev-trigger,logind,modules-load,sysctl,binfmt}.service \
    {getty@,console-getty,systemd-journal-flush}.service systemd-journald-audit.socket \
    {sys-kernel-{debug,tracing,config},dev-hugepages,proc-sys-fs-binfmt_misc}.mount proc-sys-fs-binfmt_misc.automount; do
    ln -sf /dev/null "etc/systemd/system/$unit"
done
mkdir -p etc/systemd/journald.conf.d
printf '[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\nAudit=no\n' > etc/systemd/journald.conf.d/box.conf
cat > etc/systemd/system/box.target <<'UNIT'
[Unit]
Requires=basic.target dbus.socket box-is-up.service
After=basic.target dbus.socket box-is-up.service
UNIT
cat > etc/systemd/system/box-is-up.service <<'UNIT'
[Unit]
After=basic.target
[Service]
Type=oneshot
ExecStart=touch /run/box-is-up
UNIT
# Somebody who is not root, whatever accounts this machine has.
echo 'tester:x:54321:54321::/home/tester:/bin/bash' >> etc/passwd
echo 'tester:x:54321:' >> etc/group
echo 'tester:*:20000:0:99999:7:::' >> etc/shadow
install -d -m 700 -o 54321 -g 54321 home/tester

mkdir -p opt/team-agentd
mount --bind "$BUILD" opt/team-agentd
mount -o remount,bind,ro opt/team-agentd

ip link set lo up 2>/dev/null || true
mkdir .old
pivot_root . .old
umount -l .old
rmdir .old
# As on a machine that was booted: what is mounted later is seen by whoever has mounts of its own.
mount --make-rshared /
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=box /lib/systemd/systemd \
    --system --unit=box.target --show-status=no --log-level=warning

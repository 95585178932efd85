#!/usr/bin/env bash
# Becomes the init of a machine: systemd, on this machine's own files with a layer of its own over them that is in memory and
# goes with it. test.sh starts this in new namespaces of mounts, processes, names and control groups.
#
#   machine.sh NAME FOLDER    FOLDER is empty, and stays so for others
set -euo pipefail
name=$1 folder=$2
mount --make-rprivate /
mount -t tmpfs machine "$folder"
mkdir "$folder/upper" "$folder/work" "$folder/root"
mount -t overlay machine -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" "$folder/root"
cd "$folder/root"
# Files here of the services that are to be set up are the outer machine's, not this one's.
rm -rf etc/serverledge var/lib/serverledge var/lib/etcd/* etc/systemd/system/serverledge* etc/default/etcd usr/local/bin/serverledge*
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 run run
mount -t tmpfs -o mode=1777 tmp tmp
mount -t tmpfs -o mode=755 dev dev
for device in null zero full random urandom tty; do
    touch "dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/shm dev/pts
mount -t tmpfs shm dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
printf '%s\n' "$name" >etc/hostname
mkdir -p .old
pivot_root . .old
umount -l /.old
# As a container manager leaves it: systemd hands credentials over by mounting them for a service.
mount --make-rshared /
exec env -i container=serverledge-test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=basic.target --log-target=console --show-status=no

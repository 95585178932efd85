#!/bin/sh
# Starts the agent in an image made of Debian's packages: from a snapshot, which halves the time until its socket is there.
# Debian's Node.js, unlike the official one, has no snapshot of its own.
#
#   start.sh --make   at the end of the image's making: takes the snapshot
#
# Node.js refuses a snapshot that was taken on another kind of processor, so that is compared first; an image that has come
# to another machine starts without. Only what the shell does by itself is used here: each program would cost a millisecond.
folder=/serverledge
# More than any container has: the container's memory is the limit.
heap=--max-old-space-size=32768

processor=
while read -r line; do
    case $line in
        '') break ;;
        vendor_id* | 'cpu family'* | model* | flags* | CPU* | Features*) processor="$processor|$line" ;;
    esac
done </proc/cpuinfo

if [ "$1" = --make ]; then
    node $heap --snapshot-blob "$folder/agent.blob" --build-snapshot "$folder/agent.js" || exit
    printf '%s\n' "$processor" >"$folder/agent.processor"
    exit
fi
if [ -r "$folder/agent.processor" ] && read -r taken_on <"$folder/agent.processor" && [ "$taken_on" = "$processor" ]; then
    exec node $heap --snapshot-blob "$folder/agent.blob"
fi
exec node $heap "$folder/agent.js"

#!/usr/bin/env bash
# Chicory's WASI leaves out entries of a folder when a guest removes the files that it has already been told of.
#
# WASI preview 1 (wasi_snapshot_preview1.witx), fd_readdir: "cookie: The location within the directory to start reading",
# dirent.d_next: "The offset of the next directory entry stored in this directory". POSIX's readdir leaves open only whether
# an entry that was removed or added meanwhile is given. Expected: a guest that reads a folder with a small buffer and removes
# what it reads has removed all of 40 files at the end. Seen: about half of them are never given, as the cookie counts the
# entries that are there at that time.
#
# Maven Central com.dylibso.chicory:wasi 1.7.5, with com.google.jimfs:jimfs 1.3.0 as its documentation has it. (The same on
# the host's own files.)
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in java javac mvn; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
cat >pom.xml <<'END'
<project>
  <modelVersion>4.0.0</modelVersion><groupId>finding</groupId><artifactId>try</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>com.dylibso.chicory</groupId><artifactId>wasi</artifactId><version>1.7.5</version></dependency>
    <dependency><groupId>com.google.jimfs</groupId><artifactId>jimfs</artifactId><version>1.3.0</version></dependency>
  </dependencies>
</project>
END
mvn -q -B -Dmaven.repo.local="$folder/repository" dependency:copy-dependencies -DoutputDirectory=jars >log 2>&1 || cannot "Maven does not install: $(tail -n 3 log)"
echo "Java $(java -version 2>&1 | sed -n '1s/[^"]*"\([^"]*\)".*/\1/p'), chicory 1.7.5, jimfs 1.3.0"
cat >Try.java <<'END'
import com.dylibso.chicory.runtime.Store;
import com.dylibso.chicory.wasi.WasiOptions;
import com.dylibso.chicory.wasi.WasiPreview1;
import com.dylibso.chicory.wasm.Parser;
import com.google.common.jimfs.Configuration;
import com.google.common.jimfs.Jimfs;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.HexFormat;

public class Try {
    // (module
    //   (import "wasi_snapshot_preview1" "fd_readdir" (func $fd_readdir (param i32 i32 i32 i64 i32) (result i32)))
    //   (import "wasi_snapshot_preview1" "path_unlink_file" (func $path_unlink_file (param i32 i32 i32) (result i32)))
    //   (memory (export "memory") 1)
    //   (func (export "fd_readdir") (param i32 i32 i32 i64 i32) (result i32)
    //     (call $fd_readdir (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4)))
    //   (func (export "path_unlink_file") (param i32 i32 i32) (result i32)
    //     (call $path_unlink_file (local.get 0) (local.get 1) (local.get 2))))
    static final String GUEST =
        "0061736d0100000001110260057f7f7f7e7f017f60037f7f7f017f024f0216776173695f736e617073686f745f70726576696577310a66645f7265" +
        "6164646972000016776173695f736e617073686f745f707265766965773110706174685f756e6c696e6b5f66696c65000103030200010503010001" +
        "072a03066d656d6f727902000a66645f72656164646972000210706174685f756e6c696e6b5f66696c6500030a1b020e0020002001200220032004" +
        "10000b0a0020002001200210010b";
    static final int BUFFER = 16384, SIZE = 300, FILES = 40;

    static long given(boolean remove) throws Exception {
        var files = Jimfs.newFileSystem(Configuration.unix().toBuilder().setAttributeViews("unix").build());
        var sandbox = Files.createDirectory(files.getPath("/sandbox"));
        for (int number = 0; number < FILES; number++) {
            Files.createFile(sandbox.resolve("file" + number));
        }
        var wasi = WasiPreview1.builder().withOptions(WasiOptions.builder().withDirectory("/", sandbox).build()).build();
        var guest = new Store().addFunction(wasi.toHostFunctions()).instantiate("guest", Parser.parse(HexFormat.of().parseHex(GUEST)));
        var memory = guest.memory();
        var names = new ArrayList<String>();
        long cookie = 0;
        for (int used = SIZE; used == SIZE; ) {
            if (guest.export("fd_readdir").apply(3, BUFFER, SIZE, cookie, 16)[0] != 0) {
                throw new IllegalStateException("fd_readdir fails");
            }
            used = memory.readInt(16);
            var batch = new ArrayList<String>();
            for (int at = 0; at + 24 <= used && at + 24 + memory.readInt(BUFFER + at + 16) <= used; ) {
                int length = memory.readInt(BUFFER + at + 16);
                cookie = memory.readLong(BUFFER + at);
                batch.add(memory.readString(BUFFER + at + 24, length));
                at += 24 + length;
            }
            batch.removeIf(name -> !name.startsWith("file"));
            names.addAll(batch);
            for (var name : remove ? batch : new ArrayList<String>()) {
                memory.writeString(4096, name);
                if (guest.export("path_unlink_file").apply(3, 4096, name.length())[0] != 0) {
                    throw new IllegalStateException("path_unlink_file fails");
                }
            }
        }
        return names.stream().distinct().count();
    }

    public static void main(String[] arguments) throws Exception {
        long kept = given(false), removed = given(true);
        System.out.printf("of %d files the guest is told of %d; of %d if it removes each that it is told of%n", FILES, kept, removed);
        System.exit(kept == FILES && removed < FILES ? 0 : 1);
    }
}
END
javac -cp 'jars/*' Try.java >log 2>&1 || cannot "Java does not build: $(tail -n 3 log)"
status=0
timeout 60 java -cp 'jars/*:.' Try || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: files are left out"

#!/usr/bin/env bash
# Chicory's WASI gives only the last part of a symbolic link's target.
#
# WASI preview 1 (wasi_snapshot_preview1.witx), path_readlink: "Read the contents of a symbolic link. Note: This is similar to
# readlinkat in POSIX". Chicory's documentation has path_readlink as supported, without a note. Expected:
# "releases/2/program", 18 bytes. Seen: "program", 7 bytes, with success; a guest that copies the link makes another one.
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
import java.util.HexFormat;

public class Try {
    // (module
    //   (import "wasi_snapshot_preview1" "path_readlink" (func $path_readlink (param i32 i32 i32 i32 i32 i32) (result i32)))
    //   (memory (export "memory") 1)
    //   (func (export "path_readlink") (param i32 i32 i32 i32 i32 i32) (result i32)
    //     (call $path_readlink (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4) (local.get 5))))
    static final String GUEST =
        "0061736d01000000010b0160067f7f7f7f7f7f017f02280116776173695f736e617073686f745f70726576696577310d706174685f726561646c69" +
        "6e6b0000030201000503010001071a02066d656d6f727902000d706174685f726561646c696e6b00010a1201100020002001200220032004200510" +
        "000b";

    public static void main(String[] arguments) throws Exception {
        var files = Jimfs.newFileSystem(Configuration.unix().toBuilder().setAttributeViews("unix").build());
        var sandbox = Files.createDirectory(files.getPath("/sandbox"));
        Files.createSymbolicLink(sandbox.resolve("current"), files.getPath("releases/2/program"));
        var wasi = WasiPreview1.builder().withOptions(WasiOptions.builder().withDirectory("/", sandbox).build()).build();
        var guest = new Store().addFunction(wasi.toHostFunctions()).instantiate("guest", Parser.parse(HexFormat.of().parseHex(GUEST)));
        guest.memory().writeString(4096, "current");
        var error = guest.export("path_readlink").apply(3, 4096, "current".length(), 8192, 100, 16)[0];
        var target = guest.memory().readString(8192, guest.memory().readInt(16));
        System.out.printf("the target is %s; error %d, %s%n", Files.readSymbolicLink(sandbox.resolve("current")), error, target);
        System.exit(error == 0 && target.equals("program") ? 0 : 1);
    }
}
END
javac -cp 'jars/*' Try.java >log 2>&1 || cannot "Java does not build: $(tail -n 3 log)"
status=0
timeout 60 java -cp 'jars/*:.' Try || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: the folders are gone"

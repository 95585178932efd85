import java.io.File;
import org.teavm.tooling.TeaVMTargetType;
import org.teavm.tooling.TeaVMTool;
import org.teavm.vm.TeaVMOptimizationLevel;

/** Compiles Main for WASI into a folder. */
public class Build {
    public static void main(String[] arguments) throws Exception {
        TeaVMTool tool = new TeaVMTool();
        tool.setTargetType(TeaVMTargetType.WEBASSEMBLY_WASI);
        tool.setClassLoader(Build.class.getClassLoader());
        tool.setMainClass("Main");
        tool.setTargetDirectory(new File(arguments[0]));
        tool.setTargetFileName("main.wasm");
        tool.setOptimizationLevel(TeaVMOptimizationLevel.ADVANCED);
        tool.setObfuscated(true);
        tool.generate();
        if (!tool.getProblemProvider().getSevereProblems().isEmpty()) {
            tool.getProblemProvider().getSevereProblems().forEach(each -> System.err.println(each.getText()));
            System.exit(1);
        }
    }
}

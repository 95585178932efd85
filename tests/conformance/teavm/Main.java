import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.teavm.interop.Address;
import org.teavm.interop.Import;

/** Adds up the numbers of a list, and says which entries threw. */
public class Main {
    static class NotANumber extends Exception {
        NotANumber(String text, Throwable cause) {
            super(text, cause);
        }
    }

    static int number(String text) throws NotANumber {
        try {
            return Integer.parseInt(text);
        } catch (NumberFormatException error) {
            throw new NotANumber(text, error);
        }
    }

    // System.in is not implemented for WASI.
    @Import(module = "wasi_snapshot_preview1", name = "fd_read")
    private static native int fdRead(int descriptor, Address vectors, int count, Address read);

    static String input() throws IOException {
        ByteArrayOutputStream whole = new ByteArrayOutputStream();
        byte[] buffer = new byte[4096];
        int[] vector = new int[2];
        int[] read = new int[1];
        do {
            vector[0] = Address.ofData(buffer).toInt();
            vector[1] = buffer.length;
            if (fdRead(0, Address.ofData(vector), 1, Address.ofData(read)) != 0) {
                throw new IOException("stdin cannot be read");
            }
            whole.write(buffer, 0, read[0]);
        } while (read[0] > 0);
        return whole.toString("UTF-8");
    }

    public static void main(String[] arguments) throws IOException {
        String json = input();
        int from = json.indexOf('"', json.indexOf(':', json.indexOf("\"text\"")));
        String text = json.substring(from + 1, json.indexOf('"', from + 1));
        int sum = 0;
        List<String> caught = new ArrayList<>();
        for (String entry : text.split(",")) {
            try {
                sum += number(entry);
            } catch (NotANumber error) {
                caught.add("\"" + error.getMessage() + "\"");
            }
        }
        System.out.println("{\"sum\":" + sum + ",\"caught\":[" + String.join(",", caught) + "]}");
    }
}

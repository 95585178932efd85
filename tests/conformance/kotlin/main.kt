// Adds up the numbers of a list, and says which entries threw: garbage collection and exceptions.
import kotlin.wasm.WasmImport
import kotlin.wasm.unsafe.Pointer
import kotlin.wasm.unsafe.UnsafeWasmMemoryApi
import kotlin.wasm.unsafe.withScopedMemoryAllocator

@WasmImport("wasi_snapshot_preview1", "fd_read")
private external fun fdRead(descriptor: Int, vectors: Int, count: Int, read: Int): Int

class NotANumber(text: String, cause: Throwable) : Exception(text, cause)

@OptIn(UnsafeWasmMemoryApi::class)
fun input(): String {
    val bytes = mutableListOf<Byte>()
    withScopedMemoryAllocator { allocator ->
        val buffer = allocator.allocate(4096)
        val vector = allocator.allocate(8)
        val read = allocator.allocate(4)
        do {
            vector.storeInt(buffer.address.toInt())
            (vector + 4).storeInt(4096)
            check(fdRead(0, vector.address.toInt(), 1, read.address.toInt()) == 0) { "stdin cannot be read" }
            for (each in 0 until read.loadInt()) bytes.add((buffer + each).loadByte())
        } while (read.loadInt() > 0)
    }
    return bytes.toByteArray().decodeToString()
}

fun number(text: String): Int = try {
    text.toInt()
} catch (error: NumberFormatException) {
    throw NotANumber(text, error)
}

fun main() {
    val text = Regex("\"text\"\\s*:\\s*\"([^\"]*)\"").find(input())?.groupValues?.get(1) ?: error("no member text")
    var sum = 0
    val caught = mutableListOf<String>()
    for (entry in text.split(",")) {
        try {
            sum += number(entry)
        } catch (error: NotANumber) {
            caught += "\"${error.message}\""
        }
    }
    println("{\"sum\":$sum,\"caught\":[${caught.joinToString(",")}]}")
}

//! The function: parameters as JSON on stdin, the result as JSON on stdout, the log on stderr.

const std = @import("std");

const Params = struct {
    name: []const u8 = "world",
};

const Greeting = struct {
    message: []const u8,
};

/// The most that is read of the parameters.
const params_bytes_max = 1 << 20;

pub fn main() !void {
    var arena = std.heap.ArenaAllocator.init(std.heap.wasm_allocator);
    defer arena.deinit();
    const allocator = arena.allocator();

    const input = try std.fs.File.stdin().readToEndAlloc(allocator, params_bytes_max);
    const params = try std.json.parseFromSliceLeaky(Params, allocator, input, .{ .ignore_unknown_fields = true });
    std.debug.print("greeting {s}\n", .{params.name});

    const message = try std.fmt.allocPrint(allocator, "Hello, {s}!", .{params.name});
    var buffer: [4096]u8 = undefined;
    var out = std.fs.File.stdout().writer(&buffer);
    try std.json.Stringify.value(Greeting{ .message = message }, .{}, &out.interface);
    try out.interface.flush();
}

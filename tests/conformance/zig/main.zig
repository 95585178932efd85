//! Greets and adds up: JSON on stdin, JSON on stdout.
const std = @import("std");

const Params = struct { name: []const u8, n: u64 };

pub fn main(init: std.process.Init) !void {
    const io = init.io;
    const gpa = init.gpa;
    var in_buffer: [4096]u8 = undefined;
    var stdin = std.Io.File.stdin().reader(io, &in_buffer);
    const json = try stdin.interface.allocRemaining(gpa, .limited(1 << 20));
    const parsed = try std.json.parseFromSlice(Params, gpa, json, .{});
    var sum: u64 = 0;
    var each: u64 = 1;
    while (each <= parsed.value.n) : (each += 1) sum += each;
    var out_buffer: [4096]u8 = undefined;
    var stdout = std.Io.File.stdout().writer(io, &out_buffer);
    try stdout.interface.print("{{\"message\":\"Hello, {s}!\",\"sum\":{d}}}\n", .{ parsed.value.name, sum });
    try stdout.interface.flush();
}

// Adds up the numbers of a list, and says which entries threw. Exceptions are WebAssembly's own, with exnref.
#include <cstdio>
#include <iostream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

struct NotANumber : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Depth {
    static inline int open = 0;
    Depth() { ++open; }
    ~Depth() { --open; }
};

static long number(const std::string &text) {
    Depth depth;
    try {
        return std::stol(text);
    } catch (const std::invalid_argument &) {
        // Goes on as another exception, through a frame with a destructor.
        throw NotANumber(text);
    }
}

int main() {
    std::string json(std::istreambuf_iterator<char>(std::cin), {});
    auto from = json.find(':', json.find("\"text\"")) + 1;
    from = json.find('"', from) + 1;
    std::stringstream entries(json.substr(from, json.find('"', from) - from));
    std::string entry, caught;
    long sum = 0;
    while (std::getline(entries, entry, ',')) {
        try {
            sum += number(entry);
        } catch (const std::exception &error) {
            caught += (caught.empty() ? "\"" : ",\"") + std::string(error.what()) + "\"";
        }
    }
    if (Depth::open != 0) throw std::logic_error("a destructor did not run");
    std::printf("{\"sum\":%ld,\"caught\":[%s]}\n", sum, caught.c_str());
}

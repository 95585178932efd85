// The function: parameters as JSON on stdin, the result as JSON on stdout, the log on stderr.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

type params struct {
	Name string `json:"name"`
}

type result struct {
	Message string `json:"message"`
}

func main() {
	input := params{Name: "world"}
	if err := json.NewDecoder(os.Stdin).Decode(&input); err != nil {
		fmt.Fprintln(os.Stderr, "the parameters are not as expected:", err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, "greeting", input.Name)
	if err := json.NewEncoder(os.Stdout).Encode(result{Message: "Hello, " + input.Name + "!"}); err != nil {
		fmt.Fprintln(os.Stderr, "the result was not written:", err)
		os.Exit(1)
	}
}

// Greets and adds up: JSON on stdin, JSON on stdout. Goroutines do the adding.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

type params struct {
	Name string `json:"name"`
	N    int    `json:"n"`
}

func main() {
	var in params
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	numbers := make(chan int)
	for each := 1; each <= in.N; each++ {
		go func() { numbers <- each }()
	}
	sum := 0
	for range in.N {
		sum += <-numbers
	}
	json.NewEncoder(os.Stdout).Encode(map[string]any{"message": "Hello, " + in.Name + "!", "sum": sum})
}

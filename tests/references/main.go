// References reads image references as JSON strings, one per line, and prints how container runtimes split each.
package main

import (
	"bufio"
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/json"
	"fmt"
	"os"

	"github.com/distribution/reference"
)

type answer struct {
	Host       string `json:"host"`
	Repository string `json:"repository"`
	Tag        string `json:"tag"`
	Digest     string `json:"digest"`
}

func split(text string) *answer {
	named, err := reference.ParseNormalizedNamed(text)
	if err != nil || reference.Domain(named) == "" {
		return nil // without a domain, no runtime can pull it
	}
	result := &answer{Host: reference.Domain(named), Repository: reference.Path(named)}
	if tagged, ok := named.(reference.Tagged); ok {
		result.Tag = tagged.Tag()
	}
	if digested, ok := named.(reference.Digested); ok {
		result.Digest = digested.Digest().String()
	}
	return result
}

func main() {
	scanner := bufio.NewScanner(os.Stdin)
	output := json.NewEncoder(os.Stdout)
	for scanner.Scan() {
		var text string
		if err := json.Unmarshal(scanner.Bytes(), &text); err != nil {
			fmt.Fprintln(os.Stderr, "references:", err)
			os.Exit(1)
		}
		if err := output.Encode(split(text)); err != nil {
			fmt.Fprintln(os.Stderr, "references:", err)
			os.Exit(1)
		}
	}
}

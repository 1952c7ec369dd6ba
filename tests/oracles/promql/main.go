// Promql reads a list of queries and writes it back with the selectors that Prometheus' own parser sees in each.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"

	"github.com/prometheus/prometheus/promql/parser"
)

type matcher struct {
	Label string `json:"label"`
	Op    string `json:"op"`
	Value string `json:"value"`
}

type row struct {
	Query string `json:"query"`
	// Selectors: the matchers of each selector.
	Selectors [][]matcher `json:"selectors"`
	// Error: why Prometheus refuses the query, or "".
	Error string `json:"error,omitempty"`
}

func main() {
	parser.EnableExperimentalFunctions = true
	parser.ExperimentalDurationExpr = true
	var rows []row
	if err := json.NewDecoder(os.Stdin).Decode(&rows); err != nil {
		log.Fatal(err)
	}
	for i := range rows {
		rows[i].Selectors, rows[i].Error = selectors(rows[i].Query)
	}
	fmt.Print("[")
	for i, row := range rows {
		line, err := json.Marshal(row)
		if err != nil {
			log.Fatal(err)
		}
		if i > 0 {
			fmt.Print(",")
		}
		fmt.Printf("\n%s", line)
	}
	fmt.Println("\n]")
}

func selectors(query string) ([][]matcher, string) {
	found := [][]matcher{}
	expr, err := parser.ParseExpr(query)
	if err != nil {
		return found, err.Error()
	}
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if selector, ok := node.(*parser.VectorSelector); ok {
			matchers := []matcher{}
			for _, m := range selector.LabelMatchers {
				matchers = append(matchers, matcher{m.Name, m.Type.String(), m.Value})
			}
			found = append(found, matchers)
		}
		return nil
	})
	return found, ""
}

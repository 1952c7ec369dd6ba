// Promqltree reads texts, each a JSON string on a line of its own, and writes what Prometheus' own parser makes of each: the
// tree, or why it refuses the text. It is built once for each version: go.mod has the newest one, go35.mod has 3.5.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"math"
	"os"
	"unicode/utf8"

	"github.com/prometheus/prometheus/promql/parser"
)

type verdict struct {
	Tree any `json:"tree,omitempty"`
	// Error: why the text is refused, or "".
	Error string `json:"error,omitempty"`
	// Bytes: some string of the tree is not UTF-8.
	Bytes bool `json:"bytes,omitempty"`
}

// broken is set while a tree is written that has such a string.
var broken bool

func main() {
	stable := len(os.Args) > 1 && os.Args[1] == "stable"
	parse := newParser(!stable)
	lines := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	decoder, encoder := json.NewDecoder(lines), json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	for decoder.More() {
		var text string
		if err := decoder.Decode(&text); err != nil {
			log.Fatal(err)
		}
		var row verdict
		broken = false
		if expr, err := parse(text); err != nil {
			row.Error = err.Error()
			if row.Error == "" {
				row.Error = "refused"
			}
		} else {
			row.Tree = tree(expr)
			row.Bytes = broken
		}
		if err := encoder.Encode(row); err != nil {
			log.Fatal(err)
		}
	}
}

func tree(expr parser.Expr) any {
	switch e := expr.(type) {
	case *parser.NumberLiteral:
		return list("number", float(e.Val))
	case *parser.StringLiteral:
		return list("string", str(e.Val))
	case *parser.ParenExpr:
		return list("paren", tree(e.Expr))
	case *parser.UnaryExpr:
		return list("unary", e.Op.String(), tree(e.Expr))
	case *parser.BinaryExpr:
		return list("binary", e.Op.String(), e.ReturnBool, matching(e.VectorMatching), tree(e.LHS), tree(e.RHS))
	case *parser.Call:
		args := list("call", e.Func.Name)
		for _, arg := range e.Args {
			args = append(args, tree(arg))
		}
		return args
	case *parser.AggregateExpr:
		var param any
		if e.Param != nil {
			param = tree(e.Param)
		}
		return list("aggregate", e.Op.String(), e.Without, strs(e.Grouping), param, tree(e.Expr))
	case *parser.VectorSelector:
		return vector(e)
	case *parser.MatrixSelector:
		return list("matrix", vector(e.VectorSelector.(*parser.VectorSelector)), duration(int64(e.Range), e.RangeExpr))
	case *parser.SubqueryExpr:
		return list("subquery", tree(e.Expr), duration(int64(e.Range), e.RangeExpr), duration(int64(e.Step), e.StepExpr),
			at(e.Timestamp, e.StartOrEnd), duration(int64(e.OriginalOffset), e.OriginalOffsetExpr))
	}
	log.Fatalf("unknown node %T", expr)
	return nil
}

func vector(e *parser.VectorSelector) any {
	matchers := []any{}
	for _, m := range e.LabelMatchers {
		matchers = append(matchers, list(str(m.Name), m.Type.String(), str(m.Value)))
	}
	return list("vector", str(e.Name), matchers, at(e.Timestamp, e.StartOrEnd),
		duration(int64(e.OriginalOffset), e.OriginalOffsetExpr), extended(e))
}

func matching(m *parser.VectorMatching) any {
	if m == nil {
		return nil
	}
	left, right := fill(m)
	return list(m.Card.String(), m.On, strs(m.MatchingLabels), strs(m.Include), left, right)
}

func at(timestamp *int64, preprocessor parser.ItemType) any {
	switch {
	case timestamp != nil:
		return *timestamp
	case preprocessor == parser.START:
		return "start"
	case preprocessor == parser.END:
		return "end"
	}
	return nil
}

// duration: nanoseconds, or a tree; zero is none.
func duration(ns int64, expr *parser.DurationExpr) any {
	if expr != nil {
		return durationTree(expr)
	}
	if ns == 0 {
		return nil
	}
	return ns
}

// durationTree leaves out a plus that stands before something, and parentheses around parentheses.
func durationTree(expr parser.Expr) any {
	e, ok := expr.(*parser.DurationExpr)
	if !ok {
		return float(expr.(*parser.NumberLiteral).Val)
	}
	var inner any
	switch {
	case e.LHS == nil && e.RHS == nil:
		inner = list(e.Op.String())
	case e.LHS == nil && e.Op == parser.ADD:
		inner = durationTree(e.RHS)
	case e.LHS == nil:
		inner = list(e.Op.String(), durationTree(e.RHS))
	default:
		inner = list(e.Op.String(), durationTree(e.LHS), durationTree(e.RHS))
	}
	if already, ok := inner.([]any); e.Wrapped && !(ok && already[0] == "paren") {
		return list("paren", inner)
	}
	return inner
}

func strs(values []string) []any {
	all := []any{}
	for _, value := range values {
		all = append(all, str(value))
	}
	return all
}

func str(value string) string {
	broken = broken || !utf8.ValidString(value)
	return value
}

// float: the bits, since JSON has no infinity.
func float(value float64) string {
	if math.IsNaN(value) {
		return "nan"
	}
	return fmt.Sprintf("%016x", math.Float64bits(value))
}

func list(values ...any) []any { return values }

//go:build !prometheus35

package main

import "github.com/prometheus/prometheus/promql/parser"

func newParser(everything bool) func(string) (parser.Expr, error) {
	options := parser.Options{EnableExperimentalFunctions: everything, EnableBinopFillModifiers: everything}
	return parser.NewParser(options).ParseExpr
}

func extended(e *parser.VectorSelector) any {
	switch {
	case e.Anchored:
		return "anchored"
	case e.Smoothed:
		return "smoothed"
	}
	return nil
}

func fill(m *parser.VectorMatching) (left, right any) {
	if m.FillValues.LHS != nil {
		left = float(*m.FillValues.LHS)
	}
	if m.FillValues.RHS != nil {
		right = float(*m.FillValues.RHS)
	}
	return left, right
}

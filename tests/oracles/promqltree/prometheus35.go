//go:build prometheus35

package main

import "github.com/prometheus/prometheus/promql/parser"

func newParser(everything bool) func(string) (parser.Expr, error) {
	parser.EnableExperimentalFunctions = everything
	parser.ExperimentalDurationExpr = everything
	return parser.ParseExpr
}

func extended(*parser.VectorSelector) any { return nil }

func fill(*parser.VectorMatching) (left, right any) { return nil, nil }

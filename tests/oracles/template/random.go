package main

import (
	"strings"

	"github.com/metricrule/metricrule/tests/oracles/amount"
)

// random puts templates together from a grammar of what is allowed, with a few mistakes.
type random struct {
	*amount.Amount
	variables []string
	loops     int
}

func (r *random) space() string { return r.Pick(" ", " ", " ", "  ", "\n") }

func (r *random) operand(depth int) string {
	if len(r.variables) > 0 && r.IntN(4) == 0 {
		return r.Pick(r.variables...)
	}
	if depth > 0 && r.IntN(3) == 0 {
		return "(" + r.pipeline(depth-1) + ")"
	}
	return r.Pick(".Series", "$.Series", "$.GroupBy", "$.LabelMatchers", "$.GroupBySlice", "$.LabelValuesByName", "$.LabelValuesByName.pod", "$.LabelValuesByName.zone",
		".", "0", "1", "2", "-3", "1.5", "'a'", `"pod"`, `"tier"`, `""`, "`a\\b`", "true", "false", "nil", `"queue"`)
}

func (r *random) call(depth, given int) string {
	f := r.Pick("index", "print", "print", "printf", "len", "eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not", "map", "list")
	args := 2
	switch f {
	case "map":
		return `index $.LabelValuesByName ` + r.Pick(`"pod"`, `"tier"`, `"zone"`, "$.Series")
	case "list":
		return `index $.GroupBySlice ` + r.Pick("0", "0", "1")
	case "len", "not":
		args = 1
	case "print", "and", "or", "eq":
		args = 1 + r.IntN(3)
	case "printf":
		f += " " + r.Pick(`"%s"`, `"%v"`, `"%v"`, `"<%v>"`, `"%q"`, `"%5v|"`, `"%d"`, `"%x"`, `"%%%v"`)
		args = 1
	}
	for range args - given {
		f += r.space() + r.operand(depth)
	}
	return f
}

func (r *random) pipeline(depth int) string {
	p := r.operand(depth)
	if r.IntN(2) == 0 {
		p = r.call(depth, 0)
	}
	for r.IntN(4) == 0 {
		p += r.Pick(" | ", "|", " |\n") + r.call(depth, 1)
	}
	return p
}

func (r *random) action(inner string) string {
	return r.Pick("<<", "<<", "<< ", "<<- ", "<<-\n") + inner + r.Pick(">>", ">>", " >>", " ->>", "\n->>")
}

func (r *random) list(depth int) string {
	mark := len(r.variables)
	defer func() { r.variables = r.variables[:mark] }()
	text := ""
	for range 1 + r.IntN(3) {
		text += r.Pick("", "", " ", "x", "é ", "\n", " a\n b ", "{}")
		kind := r.IntN(10)
		if depth == 0 && kind > 5 {
			kind -= 6
		}
		switch kind {
		case 0, 1, 2:
			text += r.action(r.pipeline(1))
		case 3:
			name := r.Pick("$a", "$b")
			text += r.action(name + " := " + r.pipeline(1))
			r.variables = append(r.variables, name)
		case 4:
			if len(r.variables) > 0 {
				text += r.action(r.Pick(r.variables...) + " = " + r.pipeline(1))
			}
		case 5:
			if r.loops > 0 {
				text += r.action(r.Pick("break", "continue", "if eq . 1>><<continue>><<end", "if eq $.Series \"5\">><<break>><<end"))
			}
		case 6, 7:
			inside := len(r.variables)
			word := r.Pick("if ", "if ", "with ")
			declared := r.Pick("", "", "$c := ")
			text += r.action(word + declared + r.pipeline(1))
			if declared != "" {
				r.variables = append(r.variables, "$c")
			}
			text += r.list(depth - 1)
			if r.IntN(3) == 0 {
				text += r.action("else "+word+r.pipeline(1)) + r.list(depth-1)
			}
			if r.IntN(2) == 0 {
				text += r.action("else") + r.list(depth-1)
			}
			text += r.action("end")
			r.variables = r.variables[:inside]
		default:
			inside := len(r.variables)
			over := r.Pick("$.GroupBySlice", "$.LabelValuesByName", "3", "(len $.GroupBySlice)", "0", "$.LabelValuesByName")
			declared := r.Pick("", "$c := ", "$c, $d := ")
			text += r.action("range " + declared + over)
			for _, name := range []string{"$c", "$d"} {
				if strings.Contains(declared, name) {
					r.variables = append(r.variables, name)
				}
			}
			r.loops++
			text += r.list(depth - 1)
			r.loops--
			if r.IntN(3) == 0 {
				text += r.action("else") + r.list(depth-1)
			}
			text += r.action("end")
			r.variables = r.variables[:inside]
		}
	}
	return text
}

// randomCases leaves out what fails on all data: there is nothing to compare.
func randomCases(a *amount.Amount, committed int) []testCase {
	r := &random{Amount: a}
	var cases []testCase
	for len(cases) < a.Of(committed) {
		c := queryCase(r.list(2), "")
		keep := false
		for _, o := range c.Outcomes {
			keep = keep || o.Output != nil && !strings.Contains(*o.Output, "%!")
		}
		if keep && len(c.Template) > 12 {
			cases = append(cases, c)
		}
	}
	return cases
}

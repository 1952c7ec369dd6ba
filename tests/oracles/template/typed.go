package main

import (
	"fmt"
	"strings"

	"github.com/metricrule/metricrule/tests/oracles/amount"
)

// kind of an expression, as far as the grammar knows it.
type kind int

const (
	text kind = iota
	whole
	fraction
	truth
	names
	table
	// A map's field that may be missing: a string or nothing.
	perhaps
	root
)

type variable struct {
	name string
	kind
}

// typed puts templates together that can be known to fit their types, so that nothing is refused: what Go renders has to be
// rendered, and what fails there on some data (an index out of range, a name that was declared in a branch) has to fail.
type typed struct {
	*amount.Amount
	variables []variable
	dot       kind
	loops     int
}

func (t *typed) space() string { return t.Pick(" ", " ", " ", " ", "  ", "\n", "\t ", " \r\n") }

func (t *typed) variable(k kind) (string, bool) {
	var found []string
	seen := map[string]bool{}
	for i := len(t.variables) - 1; i >= 0; i-- {
		v := t.variables[i]
		if v.kind == k && !seen[v.name] {
			found = append(found, v.name)
		}
		seen[v.name] = true
	}
	if len(found) == 0 {
		return "", false
	}
	return t.Pick(found...), true
}

// operand is one term: a field, a literal, a variable, or something in parentheses.
func (t *typed) operand(k kind, depth int) string {
	if t.IntN(3) == 0 {
		if name, ok := t.variable(k); ok {
			return name
		}
	}
	if t.dot == k && t.IntN(3) == 0 && k != root {
		return "."
	}
	if depth > 0 && t.IntN(2) == 0 || k == truth && t.IntN(2) == 0 {
		return "(" + t.pipeline(k, max(depth-1, 0)) + ")"
	}
	switch k {
	case text:
		return t.Pick("$.Series", "$.Series", "$.GroupBy", "$.LabelMatchers", `"pod"`, `"tier"`, `""`, `"a b"`, `"5"`, `"queue"`, "`a\\b`", "`x\ny`", `"\u00e9\x41\101\t\"\\"`, `"größe"`, "``", `"%d"`, "`%s`", `"<<"`, `">>"`)
	case whole:
		return t.Pick("0", "1", "2", "-3", "+4", "10", "0x1F", "-0x1f", "0b101", "0o17", "017", "1_000", "0x_ff", "'a'", "'é'", `'\n'`, `'\''`, `'\x41'`, `'\u00e9'`, `'\101'`, "9223372036854775807", "-9223372036854775808", "0X1f", "0B11")
	case fraction:
		return t.Pick("1.5", "-0.25", ".5", "1.", "1e3", "1E-7", "1.5e+10", "1e21", "1e20", "123456789.125", "0.0001", "0.00001", "-0.0", "0.0", "1_0.5", "09.5", "1e6", "999999.5", "0.1", "3.0", "1e300", "5e-324")
	case truth:
		return t.Pick("true", "false")
	case names:
		return "$.GroupBySlice"
	case table:
		return "$.LabelValuesByName"
	case perhaps:
		return t.Pick("$.LabelValuesByName.pod", "$.LabelValuesByName.tier", "$.LabelValuesByName.absent", "($.LabelValuesByName).n", "$.LabelValuesByName.absent.x")
	default:
		return "$"
	}
}

// call is a function with its arguments; given is what the pipeline hands it, as its last one.
func (t *typed) call(k kind, depth int, given string) string {
	args := func(kinds ...kind) string {
		var out strings.Builder
		for i, k := range kinds {
			if i == len(kinds)-1 && given != "" {
				break
			}
			out.WriteString(t.space() + t.operand(k, depth))
		}
		return out.String()
	}
	of := func(k kind, count int) []kind {
		kinds := make([]kind, count)
		for i := range kinds {
			kinds[i] = k
		}
		return kinds
	}
	switch k {
	case text:
		switch t.IntN(7) {
		case 0:
			return "index" + args(table, text)
		case 1:
			if given != "" {
				return "index" + args(table, text)
			}
			return "index" + args(names, whole)
		case 2, 3:
			return t.Pick("and", "or") + args(of(text, 1+t.IntN(3))...)
		case 4:
			kinds := of(text, 1+t.IntN(4))
			for i := range kinds[:len(kinds)-1] {
				kinds[i] = t.printable()
			}
			return "print" + args(kinds...)
		default:
			return t.printf(depth, given)
		}
	case whole:
		switch t.IntN(4) {
		case 0:
			return "index" + args(text, whole)
		case 1:
			return t.Pick("and", "or") + args(of(whole, 1+t.IntN(3))...)
		default:
			return "len" + args([]kind{text, names, table}[t.IntN(3)])
		}
	case truth:
		switch t.IntN(5) {
		case 0:
			return "not" + args([]kind{text, whole, fraction, truth, names, table, perhaps}[t.IntN(7)])
		case 1:
			return t.Pick("and", "or") + args(of(truth, 1+t.IntN(3))...)
		case 2:
			return "eq" + args(of([]kind{text, whole, fraction, truth, perhaps}[t.IntN(5)], 2+t.IntN(3))...)
		case 3:
			return "ne" + args(of([]kind{text, whole, fraction, truth, perhaps}[t.IntN(5)], 2)...)
		default:
			return t.Pick("lt", "le", "gt", "ge") + args(of([]kind{text, whole, fraction}[t.IntN(3)], 2)...)
		}
	default:
		return t.Pick("and", "or") + args(of(k, 1+t.IntN(3))...)
	}
}

func (t *typed) printable() kind {
	return []kind{text, text, whole, fraction, truth, names, table, perhaps}[t.IntN(8)]
}

// printf with verbs that suit, and sometimes one argument out of order.
func (t *typed) printf(depth int, given string) string {
	var format, args strings.Builder
	count := 1 + t.IntN(3)
	for i := range count {
		k := t.printable()
		if i == count-1 && given != "" {
			k = text
		}
		verb, flags := "v", ""
		switch k {
		case text, names, table:
			verb = t.Pick("s", "v", "q", "x", "X", "s")
			flags = t.Pick("", "", "", "-", "12", "-12", "3", "05", "+", " ", "012")
			if verb != "v" {
				flags = t.Pick("", "", "#", "# ") + flags
			}
			if verb == "s" || verb == "v" {
				flags += t.Pick("", "", ".2", ".0", ".30", ".")
			}
		case whole:
			verb = t.Pick("d", "d", "v", "b", "o", "O", "x", "X", "c", "q", "U", "T")
			flags = t.Pick("", "", "8", "-8", "08", "+", "+.6")
			if strings.Contains("dboxX", verb) {
				flags = t.Pick("", "+", " ", "0", "-", "+ ", "0+") + t.Pick("", "1", "5", "24") + t.Pick("", "", ".0", ".3", ".25", ".")
			}
		case fraction:
			verb = t.Pick("v", "f", "F", "e", "E", "g", "G")
			flags = t.Pick("", "9", "-9") + t.Pick("", "", ".0", ".3")
			if verb != "v" {
				flags = t.Pick("", "+", " ", "0", "-", "+ ", "0+", "-0") + t.Pick("", "1", "5", "24") + t.Pick("", "", ".0", ".3", ".17", ".")
			}
		case truth:
			verb, flags = t.Pick("t", "v"), t.Pick("", "7", "-7")
		}
		format.WriteString(t.Pick("", "", "-", "é", "%%", " ", "|") + "%" + flags + verb)
		if i < count-1 || given == "" {
			args.WriteString(t.space() + t.operand(k, depth))
		}
	}
	return "printf" + t.space() + fmt.Sprintf("%q", format.String()+t.Pick("", "x", "%%")) + args.String()
}

func (t *typed) pipeline(k kind, depth int) string {
	if k == text && t.IntN(3) == 0 {
		return t.operand(text, depth) + t.Pick(" | ", "|", " |\n", " | ") + t.call(text, depth, "|")
	}
	switch {
	case k == perhaps, k == fraction, k == names, k == table, k == root:
		return t.operand(k, depth)
	case t.IntN(4) == 0:
		return t.operand(k, depth)
	default:
		return t.call(k, depth, "")
	}
}

func (t *typed) action(inner string) string {
	return t.Pick("<<", "<<", "<< ", "<<- ", "<<-\n", "<<\t") + inner + t.Pick(">>", ">>", " >>", " ->>", "\n->>", "\t >>")
}

func (t *typed) scoped(dot kind, inside func()) {
	mark, outer := len(t.variables), t.dot
	t.dot = dot
	inside()
	t.variables, t.dot = t.variables[:mark], outer
}

func (t *typed) declared(k kind) string {
	name := t.Pick("$a", "$b", "$c", "$größe", "$_")
	t.variables = append(t.variables, variable{name, k})
	return name
}

func (t *typed) any() kind {
	return []kind{text, text, whole, fraction, truth, names, table}[t.IntN(7)]
}

// condition is what stands behind if, with and else if; a declaration holds to the end of the block.
func (t *typed) condition(k kind) string {
	if t.IntN(4) > 0 {
		return t.pipeline(k, 1)
	}
	value := t.pipeline(k, 1)
	return t.declared(k) + t.Pick(" := ", ":=") + value
}

func (t *typed) list(depth int) string {
	var out strings.Builder
	for range 1 + t.IntN(3) {
		out.WriteString(t.Pick("", "", " ", "x", "é ", "\n", " a\n b ", "{}", "< ", ">", "\t"))
		choice := t.IntN(12)
		if depth == 0 && choice > 6 {
			choice -= 6
		}
		switch choice {
		case 0, 1, 2:
			k := t.printable()
			out.WriteString(t.action(t.pipeline(k, 2)))
		case 3:
			k := t.any()
			value := t.pipeline(k, 1)
			out.WriteString(t.action(t.declared(k) + t.Pick(" := ", ":= ", " :=\n") + value))
		case 4:
			k := t.any()
			if name, ok := t.variable(k); ok {
				out.WriteString(t.action(name + t.Pick(" = ", " =", " =\t") + t.pipeline(k, 1)))
			}
		case 5:
			out.WriteString(t.Pick("<</* c */>>", "<<- /* c\nd */ ->>", "<</**/ ->>", "<<- /* << >> */>>"))
		case 6:
			if t.loops > 0 {
				word := t.Pick("break", "continue")
				out.WriteString(t.Pick("<<"+word+">>", "<<- "+word+" ->>", "<<if "+t.pipeline(truth, 1)+">><<"+word+">><<end>>"))
			}
		case 7, 8:
			t.scoped(t.dot, func() {
				out.WriteString(t.action("if " + t.condition(append([]kind{perhaps}, t.any(), truth)[t.IntN(3)])))
				t.scoped(t.dot, func() { out.WriteString(t.list(depth - 1)) })
				for range t.IntN(3) {
					out.WriteString(t.action("else if " + t.condition(t.any())))
					t.scoped(t.dot, func() { out.WriteString(t.list(depth - 1)) })
				}
				t.otherwise(&out, depth, t.dot)
			})
		case 9:
			t.scoped(t.dot, func() {
				k := t.any()
				out.WriteString(t.action("with " + t.condition(k)))
				t.scoped(k, func() { out.WriteString(t.list(depth - 1)) })
				if t.IntN(3) == 0 {
					k = t.any()
					out.WriteString(t.action("else with " + t.condition(k)))
					t.scoped(k, func() { out.WriteString(t.list(depth - 1)) })
				}
				t.otherwise(&out, depth, t.dot)
			})
		default:
			t.scoped(t.dot, func() { t.loop(&out, depth) })
		}
	}
	return out.String()
}

func (t *typed) otherwise(out *strings.Builder, depth int, dot kind) {
	if t.IntN(2) == 0 {
		out.WriteString(t.action("else"))
		t.scoped(dot, func() { out.WriteString(t.list(depth - 1)) })
	}
	out.WriteString(t.action("end"))
}

func (t *typed) loop(out *strings.Builder, depth int) {
	over, key, item := t.Pick("$.GroupBySlice", "$.GroupBySlice", "(or $.GroupBySlice $.GroupBySlice)"), whole, text
	switch t.IntN(3) {
	case 0:
		over, key = "$.LabelValuesByName", text
	case 1:
		over, item = t.Pick("3", "0", "2", "(len $.GroupBySlice)", "-1", "1"), whole
	}
	outer := t.dot
	before := ""
	switch t.IntN(3) {
	case 0:
		before = t.declared(item) + t.Pick(" := ", " :=")
	case 1:
		if item == text { // a number gives no index
			first := t.declared(key)
			before = first + t.Pick(", ", ",", " , ")
			name := t.declared(item)
			if name == first { // one name twice: the second hides the first
				t.variables = t.variables[:len(t.variables)-1]
				t.variables[len(t.variables)-1] = variable{name, item}
			}
			before += name + " := "
		}
	}
	out.WriteString(t.action("range " + before + over))
	t.loops++
	t.scoped(item, func() { out.WriteString(t.list(depth - 1)) })
	t.loops--
	// in the else, and only there, the variables of the range hold what it went over
	if before == "" && t.IntN(2) == 0 {
		out.WriteString(t.action("else"))
		t.scoped(outer, func() { out.WriteString(t.list(depth - 1)) })
	}
	out.WriteString(t.action("end"))
}

func typedCases(a *amount.Amount, committed int) []testCase {
	t := &typed{Amount: a, dot: root}
	var cases []testCase
	seen := map[string]bool{}
	for len(cases) < a.Of(committed) {
		t.variables, t.loops = nil, 0
		text := t.list(2)
		if len(text) > 12 && len(text) < 2000 && !seen[text] {
			seen[text] = true
			cases = append(cases, queryCase(text, ""))
		}
	}
	return cases
}

// tornCases are typed templates with one piece cut out, doubled, moved or replaced: mostly wrong, each in its own way.
func tornCases(a *amount.Amount, committed int) []testCase {
	t := &typed{Amount: a, dot: root}
	pieces := []string{"<<", ">>", "-", " ", "(", ")", "|", "$", "$x", ".", ":=", "=", ",", "\"", "`", "'", "%", "/*", "*/", "end", "else", "if", "range", "with", "nil", "1", "-1.5", "é", "\x00", "index", "break", "template", ".Series", "0x", "_", "\\"}
	var cases []testCase
	for len(cases) < a.Of(committed) {
		t.variables, t.loops = nil, 0
		text := []rune(t.list(1))
		if len(text) < 8 || len(text) > 400 {
			continue
		}
		for range 1 + t.IntN(2) {
			from := t.IntN(len(text))
			to := min(from+t.IntN(4), len(text))
			middle := []rune(t.Pick(pieces...))
			switch t.IntN(4) {
			case 0:
				middle = nil
			case 1:
				middle = append(append([]rune{}, text[from:to]...), text[from:to]...)
			}
			text = append(append(append([]rune{}, text[:from]...), middle...), text[to:]...)
			if len(text) == 0 {
				text = []rune("x")
			}
		}
		cases = append(cases, queryCase(string(text), ""))
	}
	return cases
}

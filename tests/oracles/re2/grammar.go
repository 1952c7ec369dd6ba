package main

import (
	"fmt"
	"strings"

	"github.com/metricrule/metricrule/tests/oracles/amount"
)

// grammar puts patterns together from all that RE2 has, with mistakes here and there.
type grammar struct {
	*amount.Amount
	names int
}

// alternatives, concatenations, repetitions, atoms.
func (g *grammar) pattern(depth int) string {
	var parts []string
	for range 1 + g.IntN(3) {
		parts = append(parts, g.repeated(depth))
	}
	text := strings.Join(parts, "")
	if depth > 0 && g.IntN(4) == 0 {
		text += "|" + g.pattern(depth-1)
	}
	return text
}

func (g *grammar) repeated(depth int) string {
	atom := g.atom(depth)
	if g.IntN(3) > 0 {
		return atom
	}
	operator := g.Pick("*", "+", "?", "*?", "+?", "??", "{2}", "{0,2}", "{1,}", "{,3}", "{2,1}", "{0}", "{3}?", "{ 1}", "{1,2", "{02}", "**", "+*")
	if g.IntN(8) == 0 {
		operator = fmt.Sprintf("{%d}", []int{1, 10, 31, 32, 100, 500, 999, 1000, 1001}[g.IntN(9)])
		if g.IntN(2) == 0 {
			operator = fmt.Sprintf("{%d,%d}", g.IntN(12), []int{5, 10, 100, 1000, 1001}[g.IntN(5)])
		}
		atom = g.Pick("a", "b", "(a)", "(?:ab)", "(a{2})", "(?:a{30})", "(?:(?:a{10}){10})", "(?:a*)", "(?:a|b{5})")
	}
	return atom + operator
}

func (g *grammar) atom(depth int) string {
	if depth > 0 && g.IntN(3) == 0 {
		inside := g.pattern(depth - 1)
		switch g.IntN(10) {
		case 0, 1, 2:
			return "(" + inside + ")"
		case 3:
			g.names++
			return g.Pick("(?P<", "(?<") + fmt.Sprintf("%s%d>", g.Pick("n", "_", "N"), g.names) + inside + ")"
		case 4:
			return g.Pick("(?P<n>", "(?<n>", "(?P<1>", "(?P<n-x>", "(?P<>", "(?P=n", "(?<=", "(?!", "(?=", "(?>", "(?#", "(?P>n") + inside + ")"
		case 5, 6:
			return "(?" + g.flags() + ":" + inside + ")"
		default:
			return "(?:" + inside + ")"
		}
	}
	switch g.IntN(12) {
	case 0, 1:
		return g.class()
	case 2:
		return g.Pick(".", "^", "$", `\A`, `\z`, `\b`, `\B`, `\Z`, `\C`, `\<`, `\b{start}`)
	case 3:
		return g.perl()
	case 4:
		return g.escape()
	case 5:
		return "(?" + g.flags() + ")"
	case 6:
		return `\Q` + g.Pick("a", "a.b", "(", "[", `\`, "*", "", "é", `\d`) + g.Pick(`\E`, `\E`, `\E`, "")
	default:
		return g.Pick("a", "b", "c", "ab", "x", "_", "total", "A", "B", "K", "s", "é", "É", "ſ", "日", "-", ":", "0", "5", " ", "{", "}", "]", "#", "&&", "~", "\n")
	}
}

func (g *grammar) flags() string {
	var text strings.Builder
	for range g.IntN(3) {
		text.WriteString(g.Pick("i", "s", "m", "U", "i", "s", "m", "U", "x", "u"))
	}
	if g.IntN(3) == 0 {
		text.WriteString("-" + g.Pick("i", "s", "m", "U", "is", "", "-"))
	}
	return text.String()
}

func (g *grammar) perl() string {
	return g.Pick(`\d`, `\D`, `\s`, `\S`, `\w`, `\W`, `\pL`, `\PL`, `\p{Lu}`, `\p{^Lu}`, `\P{^Ll}`, `\p{Greek}`, `\pN`, `\p{Foo}`, `\p{lu}`, `\p{Any}`, `\P{Latin}`, `\p{Nd}`, `\p`, `\pLu`)
}

func (g *grammar) escape() string {
	return g.Pick(`\.`, `\\`, `\-`, `\/`, `\n`, `\t`, `\v`, `\f`, `\r`, `\a`, `\e`, `\x41`, `\x{e9}`, `\x{110000}`, `\x{}`, `\x4`, `\101`, `\07`, `\8`, `\1`, `\0`, `\_`, `\é`, `\ `, `\q`, `\u0041`, `\[`, `\{`, `\}`, `\$`, `\^`, `\|`, `\"`, `\'`, `\:`)
}

func (g *grammar) class() string {
	var text strings.Builder
	text.WriteString(g.Pick("[", "[", "[^"))
	text.WriteString(g.Pick("", "", "", "]", "-", "^"))
	for range 1 + g.IntN(4) {
		switch g.IntN(10) {
		case 0, 1:
			text.WriteString(g.Pick("a-c", "A-Z", "0-9", "a-é", "K-s", "é-ü", "c-a", "a-a", " -~", `\x41-\x{5A}`, `a-\d`, `\n-a`, "+--"))
		case 2:
			text.WriteString(g.Pick("[:alpha:]", "[:^alpha:]", "[:digit:]", "[:upper:]", "[:lower:]", "[:word:]", "[:space:]", "[:punct:]", "[:foo:]", "[:alpha", "[:^print:]", "[=a=]", "[.a.]"))
		case 3:
			text.WriteString(g.perl())
		case 4:
			text.WriteString(g.escape())
		default:
			text.WriteString(g.Pick("a", "b", "c", "x", "_", ".", "*", "(", "[", "&&", "--", "~~", "||", "-", "é", "K", "s", "0", "^", "$", "{", `\Q`, "日"))
		}
	}
	if g.IntN(20) > 0 {
		text.WriteString("]")
	}
	return text.String()
}

// expandable is a pattern with groups, often with names.
func (g *grammar) expandable() string {
	var text strings.Builder
	text.WriteString(g.Pick("", "", "^"))
	for i := range 1 + g.IntN(3) {
		inside := g.Pick("a*", "[a-z]+", ".*", "b?", `\w+?`, "http|a", "(?:_total)?", "x{0,2}", `(\w)(\w)`, "")
		switch g.IntN(4) {
		case 0:
			text.WriteString(inside)
		case 1:
			fmt.Fprintf(&text, "(?P<%s>%s)", g.Pick("name", "n", "_", "n1", "é", "name"), inside)
		default:
			text.WriteString("(" + inside + ")" + g.Pick("", "", "?"))
		}
		if i > 0 {
			text.WriteString(g.Pick("", "", "_", "_?"))
		}
	}
	text.WriteString(g.Pick("", "", "$"))
	return text.String()
}

func (g *grammar) template() string {
	var text strings.Builder
	for range 1 + g.IntN(5) {
		text.WriteString(g.Pick("$", "${", "}", "$$", "$1", "${1}", "$2", "${0}", "$0", "$name", "${name}", "${n}", "$n1", "$_", "_x", "x", "1", " ", "é", ":", "-", "٣", "$10", "${ 1}", "${01}", "$9", "\\1", "per_second"))
	}
	return text.String()
}

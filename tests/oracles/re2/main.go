// Re2 writes what Go's regexp makes of a table of patterns, texts and templates.
package main

import (
	"encoding/json"
	"os"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"

	"github.com/metricrule/metricrule/tests/oracles/amount"
)

type fixture struct {
	Texts []string `json:"texts"`
	// Valid: pattern, number of groups, for each text FindStringSubmatchIndex as numbers or null.
	Valid [][3]any `json:"valid"`
	// Invalid: pattern, error.
	Invalid [][2]string `json:"invalid"`
	// Expand: pattern, text, template, result.
	Expand [][4]string `json:"expand"`
	// Anchored: pattern, the texts matched by ^(?s:pattern)$ as bits.
	Anchored [][2]any `json:"anchored"`
	// Quote: text, QuoteMeta.
	Quote [][2]string `json:"quote"`
}

func main() {
	random := amount.Parse(5, 6)
	out := fixture{Texts: []string{
		"", "a", "b", "ab", "aab", "aaa", "A", "abcabc", "http_requests_total", "container_cpu_usage_seconds_total", "x{y}", "a{,2}", "\n", "a\nb", "ab\n",
		"é", "a é b", "K", "ſs", "Ωω", "٣3", "a-b.c", "[a]", "&&", "a b\tc", "\v", "日本", "_", "-", "]", "\\", "0", "z9", "\u0378", "\U0010FFFF", "aXbXc",
	}}

	seen := map[string]bool{}
	add := func(patterns ...string) {
		for _, pattern := range patterns {
			if seen[pattern] || !utf8.ValidString(pattern) {
				continue
			}
			seen[pattern] = true
			re, err := regexp.Compile(pattern)
			if err != nil {
				out.Invalid = append(out.Invalid, [2]string{pattern, err.Error()})
				continue
			}
			found := make([]any, len(out.Texts))
			for i, text := range out.Texts {
				if match := re.FindStringSubmatchIndex(text); match != nil {
					found[i] = match
				}
			}
			// the texts without a match are left out
			matches := map[int]any{}
			for i, match := range found {
				if match != nil {
					matches[i] = match
				}
			}
			out.Valid = append(out.Valid, [3]any{pattern, re.NumSubexp(), matches})
		}
	}

	add("", "a", "ab", ".", "^", "$", "^$", "a|b", "a|", "|a", "|", "()", "(a)", "(?:a)", "(a|b)*", "(|a)*", "(|a)+", "(a|)*", "(a*)*", "(a*)+", "(a+)*", "(a??)*", "(a*?)*", "((a)|b)*", "(a)|(b)", "(a|ab)(c|bcd)?",
		"a*", "a+", "a?", "a*?", "a+?", "a??", "a{2}", "a{1,2}", "a{0}", "(a){0}(b)", "(a){0}", "a{0,1}", "a{2,}", "a{,2}", "a{", "a{}", "a{,}", "a{x}", "a{1", "a{1,", "a{1,2", "a{01}", "a{1,02}", "a{ 1}", "a{1 }", "x{y}", "{", "}", "{1}", "a{2}?", "a{1000}", "a{1001}", "a{2,1}", "a{1,1001}", "a{99999999999}", "a{1,99999999999}", "a{1001,}",
		"(a{500}){3}", "(a{500}){2}", "((a{10}){10}){10}", "((a{10}){10}){11}", "(a{1000}){1}", "(a{1000})*", "((a{500})*){3}", "(a{0}){1000}", "(a{1000}){0}", "(a{0,1000}){0,2}", "(a{2}|b{501}){2}", "(a{,2}){2}", "((a{1000}){1,}){1}", "((a{1000}){1,}){2}", "((a{1000}){0,}){2}",
		"a**", "a*+", "a+*", "a??*", "a*??", "a???", "a{2}{3}", "a{2}*", "a*{2}", "a{2}??", "(a*)*", "(?:a*)*", "a*(?i)*", "a*(?:)*", "a*\\Q\\E*", "(?i)*", "a(?i)*", "*", "+", "?", "(*)", "(+)", "|*", "a|*", "(|*)", "^*", "$*", "\\b*", "\\A+", "\\z?", "(?i)a(?-i)*", "a|b|*", "(?:)*", "()*", "()+", "(^)*", "(?m:^)*a",
		"(", ")", "(a", "a)", "((a)", "(a))", "(?", "(?:", "(?a", "(?i", "(?i)", "(?)", "(?-)", "(?-:a)", "(?i-)", "(?i-:a)", "(?i-s:a)", "(?i-s-m:a)", "(?--i)", "(?ii)a", "(?i-i)a", "(?-i-i)a", "(?x)a", "(?u)a", "(?R)a", "(?L)a", "(?im", "(?sm-iU)a", "(?^a)", "(?=a)", "(?!a)", "(?<=a)", "(?<!a)", "(?>a)", "(?#a)", "(?P=n)", "(?P>n)", "(?P<n>a)", "(?P<n", "(?P<>a)", "(?P<", "(?P", "(?<n>a)", "(?<", "(?<n", "(?<>a)", "(?'n'a)", "(?P<n-m>a)", "(?P<é>a)", "(?P<1>a)", "(?P<n>a)(?P<n>b)", "(?P<n>a)|(?P<n>b)", "(?P<n m>a)", "(?i:a)b", "(?i)ab", "a(?i)b", "a(?i)b|c", "(a(?i)b)c", "(?i)(?-i:a)b", "(?i:(?-i)a)b",
		"(?s).", "(?s:.)", "(?-s:.)", "(?s)a.b", "(?m)^b$", "(?m)^", "(?m)$", "(?m:b$)", "^b", "a$", "b$", "(?U)a+", "(?U)a+?", "(?U)a{1,2}", "(?U)a*b", "(?Ui)A+", "\\Aab\\z", "\\Z", "\\z", "(?m)\\z", "(?m)\\A",
		"\\d", "\\D", "\\s", "\\S", "\\w", "\\W", "\\b", "\\B", "\\ba", "\\bé", "é\\b", "\\Ba", "a\\B", "[\\d]", "[^\\d]", "[\\D]", "[^\\D]", "[\\w-]", "[\\w-z]", "[a-\\d]", "[\\s\\S]", "[^\\s\\S]", "[\\W\\d]", "[\\b]", "(?i)\\w", "(?i)\\W", "(?i)[\\w]", "(?i)[^\\w]", "(?i)[\\W]", "(?i)[\\Wk]", "(?i)[^\\Wk]", "\\v", "[\\v]", "\\d+", "\\w+",
		"\\Q", "\\Qa", "\\Qa\\E", "\\Qa{2}\\E", "\\Q[a]\\E", "\\Qab\\E*", "\\Qab\\E+", "\\Q\\E", "\\E", "a\\E", "\\Q\\Q\\E", "[\\Qa]", "\\Q\\", "\\Qa\\b\\E", "(?i)\\QA\\E", "\\Qé\\E",
		"\\", "a\\", "[\\", "[a\\", "\\q", "\\i", "\\y", "\\_", "\\-", "\\/", "\\<", "\\>", "\\<a\\>", "\\b{start}a", "\\b{2}", "\\é", "\\ ", "\\\n", "\\`", "\\'", "\\\"", "\\&", "\\~", "\\#", "\\@", "\\%", "\\:", "\\C", "\\R", "\\X", "\\K", "\\G", "\\h", "\\H", "\\N", "\\l", "\\u0061", "\\U00000061", "\\e", "\\c", "\\cA", "\\k<n>", "\\g1", "\\1", "(a)\\1", "\\8", "\\9", "\\0", "\\00", "\\007", "\\0101", "\\101", "\\141", "\\12", "\\18", "\\777", "\\a", "\\f", "\\n", "\\r", "\\t", "\\x", "\\x6", "\\x61", "\\x6g", "\\xg1", "\\x{", "\\x{}", "\\x{61}", "\\x{061", "\\x{g}", "\\x{10FFFF}", "\\x{110000}", "\\x{D800}", "\\x{DFFF}a", "\\x{00000000000000061}", "\\x{é}", "[\\x{D800}]", "[^\\x{D800}]", "[\\x{D7FF}-\\x{E000}]", "[a\\x{D800}-\\x{DFFF}]", "\\x{-1}",
		"[", "[]", "[^]", "[]a]", "[^]a]", "[]", "[]-a]", "[a", "[a-", "[a-]", "[-a]", "[-]", "[--]", "[---]", "[a-b-c]", "[a-b-]", "[b-a]", "[a-a]", "[\\]]", "[[]", "[[a]]", "[[a]", "[a[]", "[a]]", "[[a]b]", "[a&&b]", "[a&&]", "[&&]", "[a--b]", "[--a]", "[a~~b]", "[a||b]", "[^a]", "[^^]", "[a^]", "[^\\n]", "[.]", "[$]", "[*]", "[(]", "[|]", "[{]", "[ ]", "[#]", "[a-z&&[^b]]", "[é]", "[à-ü]", "[\\x61-\\x62]", "[\\141]", "[\\n]", "[\\Q]", "[\\pL-z]", "[+--]", "[!-~]", "[a-é]", "(?i)[a-b]", "(?i)[^a-b]", "(?i)[k]", "(?i)k", "(?i)[^k]", "(?i)s", "(?i)ω", "(?i)é", "(?i)[é]", "[^\\x00-\\x{10FFFF}]", "[^\\x00-\\x{10FFFF}]*a", "[\\x00-\\x{10FFFF}]", "(?i)_", "(?i)1",
		"[[:alpha:]]", "[[:^alpha:]]", "[^[:alpha:]]", "[:alpha:]", "[[:alpha:]_]", "[[:foo:]]", "[[:alpha]", "[[:alpha:", "[[:alpha:]", "[[:]]", "[[::]]", "[[:a]b[:]]", "[[:ALPHA:]]", "[[:word:]]", "[[:space:]]", "[[:blank:]]", "[[:ascii:]]", "[[:^ascii:]]", "[[:digit:][:upper:]]", "(?i)[[:upper:]]", "(?i)[[:^upper:]]", "(?i)[^[:upper:]]", "[[:alpha:]-z]", "[a-[:alpha:]]", "[[.a.]]", "[[=a=]]", "[[:xdigit:]]", "[[:print:]]", "[[:graph:]]", "[[:punct:]]", "[[:cntrl:]]", "[[:alnum:]]", "[[:lower:]]", "(?i)[[:lower:]]+",
		"\\p", "\\pL", "\\PL", "\\pl", "\\pN", "\\pNd", "\\p{L}", "\\p{Lu}", "\\p{lu}", "\\p{LU}", "\\P{Lu}", "\\p{^Lu}", "\\P{^Lu}", "\\p{Greek}", "\\p{greek}", "\\p{Grek}", "\\p{Latin}", "\\P{Latin}", "\\p{Han}", "\\p{Foo}", "\\p{}", "\\p{L", "\\p{", "\\p^L", "\\pé", "\\p_", "\\p{^}", "\\p{Any}", "\\P{Any}", "\\p{any}", "\\p{ASCII}", "\\P{ASCII}", "\\p{Assigned}", "\\P{Assigned}", "\\p{Cn}", "\\p{C}", "\\P{C}", "\\p{Cs}", "\\P{Cs}", "\\p{LC}", "\\p{Letter}", "\\p{Uppercase_Letter}", "\\p{uppercase letter}", "\\p{Uppercase}", "\\p{Alphabetic}", "\\p{digit}", "\\p{punct}", "\\p{cntrl}", "\\p{gc=Lu}", "\\p{Script=Greek}", "\\p{sc=Greek}", "\\p{IsGreek}", "\\p{L&}", "\\p{Emoji}", "\\p{White_Space}", "\\p{Nko}", "\\p{Common}", "\\p{Inherited}", "[\\pL]", "[^\\pL]", "[\\PL]", "[\\pL\\d]", "[\\p{^L}a]", "[\\pL", "[\\p", "[\\p{L", "[\\p{Foo}]", "[\\p{Cs}]", "[^\\p{Cs}]", "[\\P{Cs}]", "[\\p{Any}]", "[^\\p{Any}]", "(?i)\\p{Lu}", "(?i)\\P{Lu}", "(?i)[\\p{Lu}]", "(?i)[^\\p{Lu}]", "(?i)\\p{Greek}", "(?i)\\p{ASCII}", "(?i)\\p{Ll}+",
		"^(.*)_total$", "^container_(.*)_seconds_total", "(?P<base>.*)_total", "^go_", "http_.*", "(.+)_(.+)", "^(?:http|grpc)_(\\w+?)_(total|count)$", "([a-z]+)_([a-z]+)", "(a+)(b+)?", "é.", "日.", "a.c", "X(b)X", "(?i)x(B)x", "a\nb", "a\\nb", "a b", "# a", "a#b", "(?:a|b)|c", "((((a))))", "(a(b(c)))", "ab|abc|abcabc", "abcabc|ab", "(?:a(?:b|)|aa)(b?)", "x*y*z*", "[a-c]{2,3}?", "(a|b|ab)*?b", "(a|(b))+", "^(a|(b))*$", "(?:(a)|b){2}", "((a)|(b)){2}", "(a*){2,}", "(a?){3}", "(?:a?){3}a", "(a??){2}b", "\\x{41}", "(?m)^a$|^b$", "^^a", "a$$", "^$^", "(^a|b$)", "a|^b")

	// soups of tokens, most of which are wrong, and trees, which are right
	tokens := []string{"a", "b", "c", "X", "é", "_", ".", "^", "$", "|", "(", ")", "(?:", "(?i)", "(?i:", "(?s-i:", "(?P<n>", "(?<m>", "(?", "*", "+", "?", "*?", "{2}", "{1,3}", "{,2}", "{", "}", "[", "]", "[^", "-", "[a-c]", "[[:alpha:]]", "[:", ":]", "&&", "\\d", "\\W", "\\b", "\\B", "\\pL", "\\P{Greek}", "\\Q", "\\E", "\\", "\\n", "\\x41", "\\.", "\\z", " "}
	for range random.Of(900) {
		var pattern strings.Builder
		for range 1 + random.IntN(7) {
			pattern.WriteString(tokens[random.IntN(len(tokens))])
		}
		add(pattern.String())
	}
	atoms := []string{"a", "b", "c", "ab", ".", "[ab]", "[^a]", "\\w", "\\W", "\\b", "\\B", "^", "$", "(?i:b)", "X", "_", "é", "\\S", "(?m:^)", ""}
	var tree func(depth int) string
	tree = func(depth int) string {
		if depth == 0 || random.IntN(4) == 0 {
			return atoms[random.IntN(len(atoms))]
		}
		switch random.IntN(7) {
		case 0:
			return tree(depth-1) + "|" + tree(depth-1)
		case 1:
			return "(" + tree(depth-1) + ")"
		case 2:
			return "(?:" + tree(depth-1) + ")" + []string{"*", "+", "?", "*?", "+?", "??", "{2}", "{0,2}", "{1,}?"}[random.IntN(9)]
		case 3:
			return "(" + tree(depth-1) + ")" + []string{"*", "+", "?", "*?", "+?", "??"}[random.IntN(6)]
		default:
			return tree(depth-1) + tree(depth-1)
		}
	}
	for range random.Of(450) {
		add(tree(4))
	}

	g := &grammar{Amount: random}
	for range random.Of(900) {
		g.names = 0
		add(g.pattern(3))
	}

	expand := func(pattern string, texts []string, templates ...string) {
		re := regexp.MustCompile(pattern)
		for _, text := range texts {
			match := re.FindStringSubmatchIndex(text)
			if match == nil {
				continue
			}
			for _, template := range templates {
				out.Expand = append(out.Expand, [4]string{pattern, text, template, string(re.ExpandString(nil, template, text, match))})
			}
		}
	}
	templates := []string{
		"", "x", "$", "$$", "$$$", "$$1", "$0", "$1", "$2", "$9", "${0}", "${1}", "${2}_x", "$1_x", "$1x", "${1}x", "$1-x", "$1.$2", "$10", "${10}", "$01", "${01}", "$name", "${name}", "${name", "${name}_x", "$name_x", "${}", "$ 1", "${ 1}", "${1 }", "${-1}",
		"$-1", "a$", "a$b$", "$é", "${é}", "$1é", "$1٣", "$1日", "$1½", "$1Ⅷ", "$1ͅ", "\\1", "$$name", "$$$name", "${${1}}", "$1$2", "${1}${2}", "$n", "$99999999", "$100000000", "$1000000000", "${name}}", "{$1}", "{{1}}", "$_", "$1 $2", "日本$1日本", "$[1]", "$(1)", "$&",
	}
	expand("^(.*)_total$", []string{"http_requests_total"}, templates...)
	expand("(?P<name>[a-z]+)_(?P<n>[a-z]+)?", []string{"http_requests_total", "x é_ y", "a_b"}, templates...)
	expand("a|(b)", []string{"a", "b", "xb"}, templates...)
	expand("(?P<n>a)|(?P<n>b)", []string{"a", "b"}, templates...)
	expand("(?P<1x>é)(?P<01>a?)(?P<_>.*)", []string{"é", "éab"}, templates...)
	expand("a*", []string{"", "b", "baa"}, templates...)

	for range random.Of(400) {
		pattern := g.expandable()
		if _, err := regexp.Compile(pattern); err == nil {
			expand(pattern, []string{random.Pick(out.Texts...), "http_requests_total", "aab_cd"}, g.template(), g.template())
		}
	}

	anchored := []string{
		"", "a", ".*", ".+", ".", "a|b", "|a", "a?", "^a$", "(?m)^b$", "^", "$", "a.b", "(?-s)a.b", "(?-s).*", "[^x]*", "(?i)A", "()", "a|", "(a|b)*", "ab?", "\\b", ".*\\n", "[^\\n]*", "(?:)", "(?i)", "\\Qa\\E",
	}
	for range random.Of(100) {
		anchored = append(anchored, tree(3))
	}
	for _, pattern := range anchored {
		if _, err := syntax.Parse(pattern, syntax.Perl|syntax.DotNL); err != nil {
			panic(err)
		}
		re := regexp.MustCompile("^(?s:" + pattern + ")$")
		var matched []int
		for i, text := range out.Texts {
			if re.MatchString(text) {
				matched = append(matched, i)
			}
		}
		out.Anchored = append(out.Anchored, [2]any{pattern, matched})
	}

	for _, text := range append(out.Texts, "\\.+*?()|[]{}^$", "a.b-c_d/e", "#&~<>=!,;: \t\n", "\x00\x01\x7f") {
		out.Quote = append(out.Quote, [2]string{text, regexp.QuoteMeta(text)})
	}

	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		panic(err)
	}
}

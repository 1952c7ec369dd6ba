// Selector writes what labels.Parse makes of a table of texts, and which label sets the result matches.
package main

import (
	"encoding/json"
	"os"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/metricrule/metricrule/tests/oracles/amount"
)

type fixture struct {
	// Sets are the label sets that Matches refers to.
	Sets []map[string]string `json:"sets"`
	// Valid: text, canonical form, one bit for each set, the LabelSelector or null.
	Valid [][4]any `json:"valid"`
	// Invalid: text, error.
	Invalid [][2]string `json:"invalid"`
}

func main() {
	random := amount.Parse(3, 4)
	out := fixture{Sets: []map[string]string{
		{},
		{"a": ""},
		{"a": "b"},
		{"a": "c", "b": "x"},
		{"a": "5"},
		{"a": "-3", "b": "7"},
		{"a": "6", "b": "b"},
		{"a": "10", "in": "in"},
		{"a": "9223372036854775808", "notin": "x"},
		{"example.com/x": "y", "a": "B"},
		{"b": "5", "c": "d", "z": "1"},
		{"a": "b", "b": "c", "c": "5"},
	}}

	seen := map[string]bool{}
	add := func(texts ...string) {
		for _, text := range texts {
			if seen[text] {
				continue
			}
			seen[text] = true
			selector, err := labels.Parse(text)
			if err != nil {
				out.Invalid = append(out.Invalid, [2]string{text, err.Error()})
				continue
			}
			bits := 0
			for i, set := range out.Sets {
				if selector.Matches(labels.Set(set)) {
					bits |= 1 << i
				}
			}
			parts, err := metav1.ParseToLabelSelector(text)
			if err != nil {
				parts = nil
			}
			out.Valid = append(out.Valid, [4]any{text, selector.String(), bits, parts})
		}
	}

	long := strings.Repeat("a", 63)
	add("", " ", ",", ",,", "a", "!a", "! a", "!!a", "a!", "a=b", "a==b", "a===b", "a!=b", "a!==b", "a=!b", "a=b=c", "a b", "a=b c", "a>5", "a<5", "a> 5",
		"a>", "a<", "a>x", "a>5.0", "a>-5", "a>+5", "a>9223372036854775807", "a>9223372036854775808", "a<0", "a>005", "a>5,a<10", "a>>5", "a><5", "a=>5", "a>=5",
		"a in (b,c)", "a in (c,b,a)", "a in (b)", "a in ()", "a in (,)", "a in (,b)", "a in (b,)", "a in (b,,c)", "a in (,,)", "a in (b,b)", "a in(b)", "a in",
		"a in b", "a in (", "a in (b", "a in (b,", "a in (,", "a in )", "a in (b c)", "a in (b=c)", "a in (!b)", "a in (()", "a in (b))", "a in ((b))", "a in ,b",
		"a in (in,notin)", "in in (in)", "notin notin (notin)", "in", "notin", "in=in", "!in", "in,notin", "a=in", "a=notin", "a in in (b)", "a notin (b)", "a notin (b,5)",
		"a notin ()", "a notin", "anotin(b)", "a notin(b)", "a In (b)", "a IN (b)", "a exists", "a gt 5", "!a=b", "!a in (b)", "!a,b", "a,!b", "a,b,c", "c,b,a", "a,", "a,,b", ",a",
		"a=", "a==", "a!=", "a=,b=c", "a = b", "\ta\n=\r b ", "a\v=b", "a\u00a0=b", "a=b,c!=d,e in (f),!g,h>1", "z=1,a=2", "a=b,a=c", "a=b,a=b", "a!=b,a=b", "a in (b),a notin (c)",
		"a==b,b=x", "a<6,a>4", "c>4,c<6",
		"example.com/x=y", "example.com/x", "Example.com/x", "example..com/x", "-example.com/x", "a/b/c", "/x", "a/", "/", "x/-", "_a=b", "a_=b", "a.b-c_d=e", "__name__=x", "-a", "a-", ".a",
		"a=b/c", "a=.b", "a=b.", "a=-", "a=b.c-d_e", "a=~b", "a=\"b\"", "a='b'", "A=ü", "ü=a", "a=b\\c", "a=日本", "é", "a=\u200b", "a=\u00ad", "a=\u0301", "a=\ufffd", "a=\U0001f600", "a=\U000e0001", "a=\x7f", "a=\x01", "a=\a\b\f\v",
		"a=b\x00", "a\x00=b", "a=\x00b", "\x00", "a,\x00b", "a\x00b", "a in (b\x00,c)", "a=b\x00\x00c", "a=b,\x00", "a in \x00(b)",
		long, long+"a", "a="+long, "a="+long+"a", "a="+long+"a.", "a="+long+"-", long+"a.=b", "x.y/"+long+"a", strings.Repeat("a.", 126)+"a/b", strings.Repeat("a.", 127)+"a/b", strings.Repeat("a.", 127)+"A/-", "A/_", "/_", "A/",
		"a in (-,b-,c)", "a in (-,-)", "a notin (/,ü)", "a in (b,-)", "a>-", "a>ü", "a{b}", "a[0]", "a;b", "a=b;c=d", "a&b", "a|b", "a*", "a=b*", "${a}", "a=%20", "a+b", "(a)", "(a=b)", "a()", "a)", ")", "(", "=", "==", "!=", "!", "<", ">", "=b", "!=b", "!,", "!(", "! ", "a!b", "a(b)", "a=(b)", "a=)", "a=<", "a==,b", "a!=,b", "a>,b",
		"metadata.name=x", "k8s.io/a in (b), c", "a=b , c in ( x , y )", "a  notin  ( b , c ) , d")

	words := []string{"a", "a", "b", "c", "in", "notin", "5", "-3", "example.com/x", "x", "B"}
	values := []string{"b", "c", "5", "7", "", "x", "in", "B", "y", "6"}
	space := func() string { return []string{"", "", "", " ", "\t"}[random.IntN(5)] }
	requirement := func() string {
		key := words[random.IntN(len(words))]
		list := func() string {
			var items []string
			for range 1 + random.IntN(3) {
				items = append(items, space()+values[random.IntN(len(values))]+space())
			}
			return "(" + strings.Join(items, ",") + ")"
		}
		switch random.IntN(9) {
		case 0:
			return key
		case 1:
			return "!" + space() + key
		case 2:
			return key + " in " + list()
		case 3:
			return key + " notin" + space() + list()
		case 4:
			return key + space() + []string{">", "<"}[random.IntN(2)] + space() + []string{"5", "6", "0", "-1", "x"}[random.IntN(5)]
		default:
			return key + space() + []string{"=", "==", "!="}[random.IntN(3)] + space() + values[random.IntN(len(values))]
		}
	}
	for range random.Of(700) {
		var items []string
		for range 1 + random.IntN(3) {
			items = append(items, requirement())
		}
		add(strings.Join(items, space()+","+space()))
	}
	tokens := []string{"a", "b", "in", "notin", "5", "=", "==", "!=", "!", ">", "<", ",", ",", "(", ")", " ", " ", "in (", "a=b", "\x00"}
	for range random.Of(700) {
		var text strings.Builder
		for range 1 + random.IntN(7) {
			text.WriteString(tokens[random.IntN(len(tokens))])
		}
		add(text.String())
	}

	// requirements of many spellings, most of them with one thing wrong or at a limit
	letters := []string{"a", "b", "Z", "0", "9", "-", "_", ".", "/", "é", "日", "~", "\"", "\\", "'", "+", "\x00", "\x01"}
	word := func() string {
		var text strings.Builder
		switch random.IntN(12) {
		case 0:
			return strings.Repeat(letters[random.IntN(5)], 62+random.IntN(3))
		case 1:
			return strings.Repeat("ab.", 83+random.IntN(3)) + random.Pick("c", "cd", "cde") + "/" + random.Pick("x", "_", "x.y")
		case 2:
			return random.Pick("example.com", "Example.com", "a..b", "a-.b", "") + "/" + random.Pick("x", "x_", "", "x/y")
		}
		for range random.IntN(6) {
			text.WriteString(letters[min(random.IntN(len(letters)), random.IntN(len(letters)))])
		}
		return text.String()
	}
	number := func() string {
		return random.Pick("", "-", "+", "00") + random.Pick("0", "5", "12", "9223372036854775807", "9223372036854775808", "1e3", "0x5", "5.0", "5_0", "")
	}
	for range random.Of(500) {
		var items []string
		for range 1 + random.IntN(3) {
			key := word()
			switch random.IntN(8) {
			case 0:
				items = append(items, key)
			case 1:
				items = append(items, "!"+space()+key)
			case 2:
				items = append(items, key+space()+random.Pick(">", "<", ">", ">=", "=>")+space()+number())
			case 3, 4:
				var values []string
				for range random.IntN(4) {
					values = append(values, space()+word()+space())
				}
				items = append(items, key+" "+random.Pick("in", "notin", "in", "In", "not in")+space()+random.Pick("(", "(", "(", "")+strings.Join(values, ",")+random.Pick(")", ")", ")", ""))
			default:
				items = append(items, key+space()+random.Pick("=", "==", "!=", "!==", "=!")+space()+word())
			}
		}
		add(strings.Join(items, space()+","+space()))
	}

	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		panic(err)
	}
}

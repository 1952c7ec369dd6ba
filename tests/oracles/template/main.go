// Template writes what text/template makes of the templates below and of random ones.
//
// An outcome is {"output": …} or {"error": …}; one alone holds for every data set. A case with "refused" is one that Go
// renders and metricrule does not; its text says why.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
	"text/template"

	"github.com/metricrule/metricrule/tests/oracles/amount"
)

type query struct {
	Series            string
	LabelMatchers     string
	LabelValuesByName map[string]string
	GroupBy           string
	GroupBySlice      []string
}

type resource struct {
	Group    string
	Resource string
}

type dataSet struct {
	Name          string              `json:"name"`
	Series        string              `json:"series"`
	LabelMatchers string              `json:"label_matchers"`
	Values        map[string][]string `json:"label_values_by_name"`
	GroupBy       []string            `json:"group_by"`
}

type resourceSet struct {
	Group    string `json:"group"`
	Resource string `json:"resource"`
}

type outcome struct {
	Output *string `json:"output,omitempty"`
	Error  string  `json:"error,omitempty"`
}

type testCase struct {
	Template string    `json:"template"`
	Refused  string    `json:"refused,omitempty"`
	Outcomes []outcome `json:"outcomes"`
}

var queries = []dataSet{
	{
		Name: "custom", Series: "http_requests_total",
		LabelMatchers: `tier="web",namespace="shop",pod=~"web-1|web-2"`,
		Values:        map[string][]string{"tier": {"web"}, "namespace": {"shop"}, "pod": {"web-1", "web-2"}},
		GroupBy:       []string{"pod"},
	},
	{
		Name: "hostile", Series: "job:latency:p99",
		LabelMatchers: `pod="a\"b"`,
		Values: map[string][]string{
			"pod": {`a"b\c` + "`" + `{x}`}, "tier": {"größe", "名前", "", ".*", "|"}, "empty": {""}, "a b": {"é\n\u200b\u0301"},
		},
		GroupBy: []string{"pod", "namespace"},
	},
	{Name: "external", Series: "queue", LabelMatchers: "", Values: map[string][]string{}, GroupBy: []string{}},
	{Name: "numeric", Series: "5", LabelMatchers: `n="1"`, Values: map[string][]string{"n": {"1"}, "tier": {"n"}}, GroupBy: []string{"n"}},
}

var resources = []resourceSet{
	{Group: "", Resource: "pod"},
	{Group: "apps", Resource: "deployment"},
	{Group: "networking_k8s_io", Resource: "ingress"},
}

var templates = []string{
	// Text and plain fields.
	"", " ", "plain text", "up{} # comment\n\n", "<", "a < b > c", ">>", "{{.Series}}", "é<<.Series>>ü",
	"<<.Series>>", "<< .Series >>", "<<.Series>>{<<.LabelMatchers>>}",
	"sum(rate(<<.Series>>{<<.LabelMatchers>>}[2m])) by (<<.GroupBy>>)\n",
	"<<.Series>><<.Series>>", "<<\n.Series\n>>", "<<\t.Series\r\n>>", "<<$.Series>>", "<<.LabelValuesByName>>", "<<.GroupBySlice>>",
	"<<.GroupBy>> <<.GroupBySlice>>", "<<.Nope>>", "<<.series>>", "<<.Series.Nope>>", "<<.GroupBySlice.x>>", "<<$.Nope>>", "<<.Series >>>",
	"<<.LabelValuesByName.pod>>", "<<.LabelValuesByName.absent>>", "<<$.LabelValuesByName.tier>>", "<<(.LabelValuesByName).tier>>",
	"<<.LabelValuesByName.absent.deeper>>", "<<(index .LabelValuesByName).pod>>", "<<print .LabelValuesByName.absent>>",
	"<<if .LabelValuesByName.absent>>a<<else>>b<<end>>", "<<len .LabelValuesByName.absent>>", "<<eq .LabelValuesByName.absent \"\">>",
	"<<range .LabelValuesByName.absent>>a<<else>>b<<end>>", "<<index .LabelValuesByName.absent 0>>", "<<not .LabelValuesByName.absent>>",
	"<<.LabelValuesByName.absent | print>>", "<<eq .LabelValuesByName.absent .LabelValuesByName.absent>>",
	"<<lt .LabelValuesByName.absent \"a\">>", "<<printf \"%v\" .LabelValuesByName.absent>>", "<<printf \"%s\" .LabelValuesByName.absent>>",

	// index and len.
	`<<index .LabelValuesByName "pod">>`, `<<index .LabelValuesByName "absent">>`, "<<index .LabelValuesByName `tier`>>",
	`<<index $.LabelValuesByName "a b">>`, `<<"pod" | index .LabelValuesByName>>`, `<<index .LabelValuesByName .GroupBy>>`,
	`<<index .LabelValuesByName (index .GroupBySlice 0)>>`, `<<index .LabelValuesByName (print "po" "d")>>`,
	`<<index .GroupBySlice 0>>`, `<<index .GroupBySlice 1>>`, `<<index .GroupBySlice 2>>`, `<<index .GroupBySlice -1>>`,
	`<<index .GroupBySlice "0">>`, `<<index .GroupBySlice 0.0>>`, `<<index .GroupBySlice 1.0>>`, `<<index .GroupBySlice nil>>`,
	`<<index .LabelValuesByName 0>>`, `<<index .LabelValuesByName nil>>`, `<<index .Series 0>>`, `<<index .Series 100>>`, `<<index .Series "x">>`,
	`<<index "é" 1>>`, `<<index .GroupBySlice 0 0>>`, `<<index .LabelValuesByName "pod" 0>>`, `<<index .LabelValuesByName "absent" 0>>`,
	`<<index .Series>>`, `<<index .GroupBySlice>>`, `<<index 5>>`, `<<index 5 1>>`, `<<index nil>>`, `<<index nil 1>>`, `<<index>>`, `<<index true "a">>`,
	`<<len .Series>>`, `<<len .GroupBySlice>>`, `<<len .LabelValuesByName>>`, `<<len "größe">>`, `<<len 5>>`, `<<len nil>>`, `<<len true>>`, `<<len>>`,
	`<<len .Series .Series>>`, `<<.Series | len>>`, `<<len (index .LabelValuesByName "tier")>>`, `<<index .Series (len .GroupBySlice)>>`,
	`<<eq (index .Series 0) 104>>`, `<<lt (index .Series 0) 105>>`, `<<eq 104 (index .Series 0)>>`, `<<index .Series (index "\x00" 0)>>`,

	// Literals.
	`<<1>>`, `<<-1>>`, `<<+1>>`, `<<0x1F>>`, `<<0b101>>`, `<<0o17>>`, `<<017>>`, `<<08>>`, `<<09.5>>`, `<<1_000>>`, `<<1__0>>`, `<<_1>>`, `<<1_>>`, `<<0x_1f>>`, `<<0_7>>`,
	`<<1.5>>`, `<<1.>>`, `<<.5>>`, `<<-.5>>`, `<<1e3>>`, `<<1E3>>`, `<<1e-7>>`, `<<1.5e+10>>`, `<<1e20>>`, `<<1e21>>`, `<<1e6>>`, `<<123456789.0>>`, `<<1_0.5>>`,
	`<<0.0001>>`, `<<0.00001>>`, `<<100000.0>>`, `<<1000000.0>>`, `<<0.1>>`, `<<-0.0>>`, `<<-0>>`, `<<1e400>>`, `<<1e>>`, `<<1e+>>`, `<<1.2.3>>`, `<<0x>>`, `<<0b2>>`,
	`<<9223372036854775807>>`, `<<9223372036854775808>>`, `<<-9223372036854775808>>`, `<<-9223372036854775809>>`, `<<18446744073709551616>>`, `<<1a>>`, `<<3-2>>`, `<<1 2>>`,
	`<<'a'>>`, `<<'é'>>`, `<<'\n'>>`, `<<'\''>>`, `<<'\\'>>`, `<<'\x41'>>`, `<<'\101'>>`, `<<'\u00e9'>>`, `<<'\U0001F600'>>`, `<<'ab'>>`, `<<''>>`, `<<'>>`, `<<'\"'>>`, `<<'"'>>`, `<<'\xff'>>`,
	`<<"">>`, `<<"a\tb\n\"q\"\\">>`, `<<"\x41\u00e9\U0001F600\101">>`, `<<"\xc3\xa9">>`, `<<"\'">>`, `<<"'">>`, `<<"\q">>`, `<<"\x4">>`, `<<"\ud800">>`, `<<"\400">>`, "<<\"a\nb\">>", `<<"a>>`, `<<"a">>"`, `<<"a>>b">>`, `<<"a<<b">>`,
	"<<`raw \\n <<.Series>>`>>", "<<`a\nb\r\nc`>>", "<<`open>>", "<<``>>",
	`<<true>>`, `<<false>>`, `<<nil>>`, `<<True>>`, `<<true | print>>`, `<<"a" | print>>`, `<<1 | "a">>`, `<<.Series | .GroupBy>>`, `<<.Series | true>>`, `<<.Series | (.GroupBy)>>`, `<<1 | $>>`,

	// print, printf.
	`<<print>>`, `<<print 1 2>>`, `<<print "a" "b">>`, `<<print "a" 1 2 "b">>`, `<<print 1 true nil>>`, `<<print 1.0 2.5>>`, `<<print .Series .GroupBy>>`, `<<print .Series 1>>`, `<<print nil>>`, `<<print nil nil>>`, `<<print .GroupBySlice 1>>`, `<<print 1 .GroupBySlice>>`, `<<print .LabelValuesByName>>`, `<<print print>>`, `<<print len>>`, `<<print (print 1)>>`, `<<.Series | print "a" | print "b">>`,
	`<<printf "%s-%s" .Series .GroupBy>>`, `<<printf "%v" .GroupBySlice>>`, `<<printf "100%%">>`, `<<printf "%d%%" 5>>`, `<<printf "%5%|%-5%">>`, `<<printf "no verbs">>`, `<<printf .Series>>`, `<<printf .LabelMatchers>>`, `<<printf>>`, `<<printf 5>>`, `<<printf nil>>`, `<<printf true "a">>`,
	`<<printf "%s">>`, `<<printf "%s" "a" "b">>`, `<<printf "%s %s" "a">>`, `<<printf "%">>`, `<<printf "%5">>`, `<<printf "%!" 1>>`, `<<printf "%z" 1>>`, `<<printf "%é" 1>>`, `<<"a" | printf "%s%s" "b">>`, `<<"%d" | printf>>`, `<<.Series | printf "%q">>`, `<<len .Series | printf "%03d">>`,
	`<<printf "%[1]s_%[1]s" .Series>>`, `<<printf "%[2]s %[1]s" "a" "b">>`, `<<printf "%[2]s" "a" "b">>`, `<<printf "%[3]s" "a" "b">>`, `<<printf "%[0]s" "a">>`, `<<printf "%[x]s" "a">>`, `<<printf "%[1" "a">>`, `<<printf "%[2]s %s" "a" "b">>`, `<<printf "%[1]s %s" "a" "b">>`, `<<printf "%5[1]s" "a">>`, `<<printf "%[1]5s" "a">>`,
	`<<printf "a\nb %s" "c">>`, `<<printf "ü%sö" "ä">>`, `<<print (printf "%d" 5) (printf "%d" 6)>>`, `<<printf (print "%" "s") "a">>`, `<<printf "%s" (printf "%s" .LabelMatchers)>>`,
	`<<printf "%s=%q," "pod" (index .LabelValuesByName "pod")>>`, `<<printf "%q" (index .LabelValuesByName "a b")>>`, `<<printf "%q" (index .LabelValuesByName "tier")>>`, `<<printf "%x" (index .LabelValuesByName "tier")>>`, `<<printf "%.3s" (index .LabelValuesByName "tier")>>`, `<<printf "%12s|" (index .LabelValuesByName "tier")>>`, `<<printf "%q" .LabelValuesByName>>`, `<<printf "%s" .LabelValuesByName>>`, `<<printf "%q" .GroupBySlice>>`, `<<printf "%5s|%-5v|" .GroupBySlice .GroupBySlice>>`, `<<printf "%x" .GroupBySlice>>`, `<<printf "%.1s" .GroupBySlice>>`, `<<printf "%c" (index "é" 0)>>`, `<<printf "%c%c%c" 34 'é' 0x1F600>>`, `<<printf "%c" -1>>`, `<<printf "%q" 'x'>>`, `<<printf "%q %q" '\'' '"'>>`, `<<printf "%U" 'é'>>`, `<<printf "%q" "a'b\"c\\\x00\x7f\a\b\f\v\u200b\u0301\ufeff\U0001F600\u00a0\u00ad">>`,

	// and, or, not, comparisons.
	`<<and .Series .GroupBy>>`, `<<and "" .GroupBy>>`, `<<and 1 0 2>>`, `<<and true>>`, `<<and>>`, `<<or>>`, `<<or "" 0 false "x">>`, `<<or "" 0>>`, `<<or nil nil>>`, `<<or .LabelMatchers "none">>`, `<<.LabelMatchers | or "">>`, `<<"x" | and .LabelMatchers>>`, `<<or (index .LabelValuesByName "absent") "default">>`, `<<or "a" (index .GroupBySlice 99)>>`, `<<and "" (index .GroupBySlice 99)>>`, `<<and "a" (index .GroupBySlice 99)>>`, `<<or "" (len .Series)>>`, `<<print (or nil nil)>>`,
	`<<not .Series>>`, `<<not "">>`, `<<not 0>>`, `<<not nil>>`, `<<not>>`, `<<not 1 2>>`, `<<not .GroupBySlice>>`, `<<not .LabelValuesByName>>`, `<<.Series | not>>`,
	`<<eq .Series "queue">>`, `<<eq .Series "a" "queue" "5">>`, `<<eq .Series>>`, `<<eq>>`, `<<.Series | eq "queue">>`, `<<eq 1 1 1>>`, `<<eq 1 2 3>>`, `<<eq 1.5 1.5>>`, `<<eq true true>>`, `<<eq nil nil>>`, `<<eq .Series nil>>`, `<<eq nil .Series>>`, `<<eq .GroupBySlice nil>>`, `<<eq .LabelValuesByName nil>>`, `<<eq .GroupBySlice .GroupBySlice>>`, `<<eq .LabelValuesByName .LabelValuesByName>>`, `<<eq .GroupBySlice .LabelValuesByName>>`, `<<eq .Series .GroupBySlice>>`, `<<eq .Series 5>>`, `<<eq 1 1.0>>`, `<<ne .Series "queue">>`, `<<ne 1 2 3>>`, `<<ne 1>>`, `<<lt "a" "b">>`, `<<lt "B" "a">>`, `<<lt true false>>`, `<<lt nil 1>>`, `<<lt .GroupBySlice .GroupBySlice>>`, `<<ge .Series .Series>>`, `<<gt (len .Series) 5>>`, `<<le 2 2>>`, `<<ge 1.5 2.5>>`, `<<lt "a" 1>>`, `<<lt 1 2 3>>`, `<<eq (len .GroupBySlice) 1>>`, `<<eq (print 5) .Series>>`, `<<eq "größe" "größe">>`,

	// if.
	"<<if .LabelMatchers>>{<<.LabelMatchers>>}<<end>>", "<<if .GroupBySlice>>by<<else>>none<<end>>", "<<if eq .Series \"queue\">>q<<else if eq .Series \"5\">>five<<else>>other<<end>>", "<<if false>>a<<else if false>>b<<else if true>>c<<else>>d<<end>>", "<<if>>a<<end>>", "<<if true>>a", "<<if true>>a<<else>>b", "<<if true>>a<<else>>b<<else>>c<<end>>", "<<if true>>a<<else if>>b<<end>>", "<<end>>", "<<else>>", "a<<else if true>>b<<end>>", "<<if true>><<end>>", "<<if 0>>a<<end>>", "<<if 0.0>>a<<else>>b<<end>>", "<<if \"\">>a<<else>>b<<end>>", "<<if nil>>a<<end>>", "<<if .>>a<<end>>", "<<if .LabelValuesByName>>a<<else>>b<<end>>", "<<if not .LabelValuesByName>>a<<end>>", "<<if and .Series .GroupBy>>a<<end>>", "<<if or (eq .Series \"queue\") (eq .Series \"5\")>>y<<else>>n<<end>>", "<<if .Series>><<if .GroupBy>>x<<end>>y<<end>>", "<<if $x := .LabelMatchers>><<$x>><<else>>[<<$x>>]<<end>>", "<<if $x := .Series>>a<<end>><<$x>>", "<<if $x := \"\">>a<<else if $y := $x>>b<<else>>(<<$x>>)(<<$y>>)<<end>>", "<<if true>><<$x := 1>><<end>><<$x>>", "<<if true>>a<<else with .Series>>b<<end>>", "<<if true>>a<<end extra>>", "<<if true>>a<<else extra>>b<<end>>", "<<if index .LabelValuesByName \"tier\">>tier<<end>>", "<<iftrue>>a<<end>>", "<<if(true)>>a<<end>>", "<<if true>>a<<elseif true>>b<<end>>", "<<if true>>a<<else\nif true>>b<<end>>", "<<if (eq .Series \"queue\")>>a<<end>>",

	// with.
	"<<with .LabelMatchers>>{<<.>>}<<end>>", "<<with .LabelMatchers>>{<<.>>}<<else>>none<<end>>", "<<with .Series>><<$.GroupBy>> <<.>><<end>>", "<<with $x := .Series>><<$x>> <<.>><<end>>", "<<with index .LabelValuesByName \"tier\">>tier=<<.>><<else with index .LabelValuesByName \"n\">>n=<<.>><<else>><<.Series>><<end>>", "<<with .LabelValuesByName>><<.pod>><<index . \"tier\">><<end>>", "<<with $>><<.Series>><<end>>", "<<with .>><<.Series>><<end>>", "<<with .GroupBySlice>><<index . 0>><<end>>", "<<with>>a<<end>>", "<<with nil>>a<<end>>", "<<with 0>>a<<else>>b<<end>>", "<<with true>>a<<else if true>>b<<end>>", "<<with \"x\">><<with \"y\">><<.>><<$.Series>><<end>><<.>><<end>>", "<<with .LabelValuesByName.absent>>a<<else>>b<<end>>", "<<with .Series>><<len .>><<end>>", "<<with .Series>><<.Series>><<end>>",

	// range.
	"<<range .GroupBySlice>><<.>>,<<end>>", "<<range .GroupBySlice>><<.>>,<<else>>none<<end>>", "<<range $i, $l := .GroupBySlice>><<if $i>>, <<end>><<$l>><<end>>", "<<range $l := .GroupBySlice>><<$l>>;<<.>>;<<end>>", "<<range $k, $v := .LabelValuesByName>><<$k>>=<<$v>>,<<end>>", "<<range .LabelValuesByName>><<.>>,<<end>>", "<<range $v := .LabelValuesByName>><<$v>>,<<else>>none<<end>>", "<<range $k, $v := .LabelValuesByName>><<printf \"%s=%q,\" $k $v>><<end>>", "<<range 3>><<.>><<end>>", "<<range $i := 3>><<$i>><<end>>", "<<range $i, $j := 3>><<$i>><<end>>", "<<range 0>>a<<else>>b<<end>>", "<<range -1>>a<<else>>b<<end>>", "<<range .Series>>a<<end>>", "<<range true>>a<<end>>", "<<range 1.5>>a<<end>>", "<<range nil>>a<<end>>", "<<range>>a<<end>>", "<<range .>>a<<end>>", "<<range index .Series 0>>x<<end>>", "<<range len .GroupBySlice>><<.>><<$.Series>><<end>>",
	"<<range .GroupBySlice>>a<<break>>b<<end>>c", "<<range .GroupBySlice>>a<<continue>>b<<end>>c", "<<range 5>><<if eq . 3>><<break>><<end>><<.>><<end>>", "<<range 5>><<if eq . 3>><<continue>><<end>><<.>><<end>>", "<<break>>", "<<continue>>", "<<range 2>><<end>><<break>>", "<<range 2>>a<<else>><<break>><<end>>", "<<range 0>>a<<else>><<break>><<end>>", "<<range 3>><<range 3>><<if eq . 1>><<break>><<end>>a<<end>>b<<end>>", "<<range 2>><<range 0>>x<<else>>y<<break>><<end>>z<<end>>", "<<range 2>><<range 0>>x<<else>>y<<continue>><<end>>z<<end>>", "<<range 2>><<break extra>><<end>>", "<<range 2>><<with 1>><<break>><<end>>a<<end>>", "<<range $i := 3>><<$i = 7>><<$i>><<end>>",
	"<<range $i, $l := .GroupBySlice>><<$i>><<$l>><<else>><<len $l>><<len $i>><<end>>", "<<range $x := .GroupBySlice>><<end>><<$x>>", "<<$x := \"a\">><<range $x = .GroupBySlice>><<$x>><<end>><<$x>>", "<<$i := 9>><<$x := \"a\">><<range $i, $x = .GroupBySlice>><<$x>><<end>><<$i>><<print $x>>", "<<$s := \"\">><<range .GroupBySlice>><<$s = print $s . \"+\">><<end>><<$s>>", "<<$n := 0>><<range 3>><<$n = len (print $n \"x\" .)>><<end>><<$n>>", "<<range .GroupBySlice>><<$x := .>><<$x>><<end>>", "<<range .GroupBySlice>><<$.Series>><<end>>", "<<range $a, $b, $c := .GroupBySlice>>a<<end>>", "<<range $a, 1 := .GroupBySlice>>a<<end>>", "<<range $k, $v := .LabelValuesByName>><<range 2>><<$k>><<end>><<end>>", "<<range .GroupBySlice>>a", "<<range ($x := .GroupBySlice)>><<.>><<end>>", "<<range $v := ($x := .GroupBySlice)>><<$v>><<len $x>><<end>>", "<<range $i, $v := .GroupBySlice>><<if gt $i 0>>,<<end>><<$v>><<end>>",

	// Variables.
	"<<$x := .Series>><<$x>>", "<<$x := 1>><<$x = 2>><<$x>>", "<<$x>>", "<<$x = 1>>", "<<$x := $x>>", "<<$x := 1>><<$x := 2>><<$x>>", "<<$x := 1>><<if true>><<$x = 2>><<end>><<$x>>", "<<$x := 1>><<if true>><<$x := 2>><<$x>><<end>><<$x>>", "<<$x := .LabelValuesByName>><<$x.pod>>", "<<$x := .LabelValuesByName>><<index $x \"tier\">>", "<<$x := .>><<$x.Series>>", "<<$x:=1>><<$x>>", "<<$ x := 1>>", "<<$1 := 1>><<$1>>", "<<$größe := 1>><<$größe>>", "<<$x, $y := 1>>", "<<$x := >>", "<<$x : = 1>>", "<<$x := 1 | print>><<$x>>", "<<$x := .Series | len>><<$x>>", "<<print ($x := 5)>><<$x>>", "<<($x := 5) | print>>", "<<$x := 1 2>>", "<<with $x := 1>><<$x>><<end>>", "<<$x.y>>", "<<$x := .Series>><<$x.y>>", "<<$x := \"a\">><<$x 1>>", "<<1 | $>>", "<<$x := nil>>", "<<or true ($x := 1)>>", "<<or true ($x := 1)>><<$x>>", "<<or false ($x := 1)>><<$x>>", "<<$x := (print \"a\" | print \"b\")>><<$x>>", "<<$x := 1>>  <<$y := $x>>  <<$y>>", "<<$.LabelValuesByName.pod>>", "<<$x=1>>", "<<$ := 5>><<$>>", "<<$x := and \"\" nil>>[<<$x>>]",

	// Trim markers and comments.
	"a <<- .Series ->> b", "a\n\n<<- .Series ->>\n\nb", "a <<- .Series>> b", "a <<.Series ->> b", "a <<-.Series>>", "a <<- 3 ->> b", "a <<-3->> b", "a <<-3 ->> b", "a <<3->> b", "a <<.Series->> b", "a <<- .Series - >> b", "  <<- \"x\" ->>  <<- \"y\" ->>  ", "<<- .Series>>", "<<.Series ->>", "a <<-\n.Series\n->> b", "a <<- .Series  ->> b", "a\u00a0<<- .Series ->>\u00a0b",
	"a<</* comment */>>b", "a <<- /* comment */ ->> b", "a<</* multi\nline */>>b", "a <<- /* c */>> b", "a <</* c */ ->> b", "a<< /* c */>>b", "a<</* c */ >>b", "a<</* open >>b", "a<</**/>>b", "a<</*/>>b", "a<<-/* c */>>b", "a<<-  /* c */>>b", "a<</* c */->>b", "a<</* << >> */>>b", "a<</* c */ -->>b", "a<</* a */ b */>>",

	// Pipelines, parentheses, syntax errors.
	"<<>>", "<< >>", "<<", "a<<.Series", "<<.Series>", "<<(.Series)>>", "<<((.Series))>>", "<<(.Series>>", "<<.Series)>>", "<<()>>", "<<(print 1) 2>>", "<<print (1)>>", "<<print(1)>>", "<<print(1) (2)>>", "<<(print)(1)>>", "<<print (\"a\" | print \"b\") \"c\">>", "<<.Series |>>", "<<.Series | >>", "<<| .Series>>", "<<.Series || print>>", "<<.Series | | print>>", "<<print | print | print>>", "<<.Series 1>>", "<<.Series .GroupBy>>", "<<..Series>>", "<<. Series>>", "<<.Series.>>", "<<\"a\".x>>", "<<1.x>>", "<<true.x>>", "<<nil.x>>", "<<print.x>>", "<<print .Series.x>>", "<<(print 1).x>>", "<<.Series \"a\">>", "<<.Series\"a\">>", "<<print \"a\"\"b\">>", "<<print \"a\" | >>", "<<.1x>>", "<<.Series,>>", "<<,>>", "<<.Series;>>", "<<a>>", "<<undefined .Series>>", "<<Print 1>>", "<<.Series > 1>>", "<<.Series == 1>>", "<<!true>>", "<<\u00e9>>", "<<.é>>", "<<\x01>>", "<<.Series\x00>>", "<<print \u00a0 1>>", "<<@>>", "<<#>>", "<<if.Series>>x<<end>>", "<<:=>>", "<<$x :=>>", "<<=>>", "<<print =>>", "<<print := 1>>", "<<print if>>", "<<print end>>", "<<nil nil>>", "<<<.Series>>", "<<<<.Series>>>>", "<<.Series>><<", "<<.Series>>>>", "<<\"\\\">>", "<<(.LabelValuesByName).pod>>", "<<(.LabelValuesByName).absent>>", "<<(index .LabelValuesByName \"pod\").x>>", "<<print (.LabelValuesByName).pod (len .Series)>>", "<<$.LabelValuesByName.pod.x>>",
	"<<" + strings.Repeat("(", 60) + "1" + strings.Repeat(")", 60) + ">>", strings.Repeat("<<if true>>", 60) + "x" + strings.Repeat("<<end>>", 60),

	// Shapes that rules have.
	"sum(rate(<<.Series>>{<<.LabelMatchers>>,code=~\"5..\"}[5m])) by (<<.GroupBy>>) / sum(rate(<<.Series>>{<<.LabelMatchers>>}[5m])) by (<<.GroupBy>>)",
	"max_over_time(<<.Series>>{<<if .LabelMatchers>><<.LabelMatchers>>,<<end>>job=\"a\"}[1m])",
	"sum by (<<range $i, $l := .GroupBySlice>><<if $i>>, <<end>><<$l>><<end>>) (<<.Series>>)",
	"label_replace(x{pod=~\"<<index .LabelValuesByName \"pod\">>\"}, \"a\", \"$1\", \"b\", \"(.*)\")",
	"<<- $tier := index .LabelValuesByName \"tier\" ->>\nx{<<if $tier>>tier=~\"<<$tier>>\"<<end>>}\n<<- /* done */ ->>\n",
	"histogram_quantile(0.99, sum(rate(<<.Series>>{<<.LabelMatchers>>}[2m])) by (<<print .GroupBy \",le\">>))",
	"<<range $name, $value := .LabelValuesByName ->>\n  <<- if ne $name \"namespace\" ->>\n    <<$name>>=~\"<<$value>>\",\n  <<- end ->>\n<<- end>>",
}

// Templates that Go renders, for some data at least, and metricrule refuses.
var refused = [][2]string{
	{"<<.>>", "prints the whole data"},
	{"<<$>>", "prints the whole data"},
	{"<<.>>>", "prints the whole data"},
	{"<<print .>>", "prints the whole data"},
	{"<<print . .>>", "prints the whole data"},
	{"<<printf \"%v\" .>>", "prints the whole data"},
	{"<<1i>>", "complex number"},
	{"<<1+2i>>", "complex number"},
	{"<<0x1p-2>>", "hexadecimal fraction"},
	{"<<\"\\xff\">>", "not UTF-8"},
	{`<<"\377\n">>`, "not UTF-8"},
	{`<<printf "%d" .LabelValuesByName>>`, "fails if it is not empty"},
	{`<<printf "%d" .GroupBySlice>>`, "fails if it is not empty"},
	{"<<range .GroupBySlice>><<.Series>><<end>>", "fails if it is reached"},
	{"<<html .Series>>", "function"},
	{"<<js .Series>>", "function"},
	{"<<urlquery .Series>>", "function"},
	{"<<println .Series>>", "function"},
	{"<<slice .Series 0 1>>", "function"},
	{"<<define \"a\">>x<<end>>", "several templates"},
	{"<<block \"a\" .>>x<<end>>", "several templates"},
	{"<<define \"a\">>x<<end>><<template \"a\">>", "several templates"},
	{"<<if false>><<nil>><<end>>", "fails if it is reached"},
	{"<<if false>><<.Nope>><<end>>", "fails if it is reached"},
	{"<<if false>><<len 1>><<end>>", "fails if it is reached"},
	{"<<if false>><<$x = 1>><<end>>", "fails if it is reached"},
	{"<<if false>><<.Series 1>><<end>>", "fails if it is reached"},
	{"<<if false>><<range \"a\">><<end>><<end>>", "fails if it is reached"},
	{"<<if false>><<not>><<end>>", "fails if it is reached"},
	{"<<if false>><<printf \"%d\" \"a\">><<end>>", "fails if it is reached"},
	{"<<eq 1 1 \"a\">>", "fails if it is reached"},
	{"<<range .GroupBySlice>><<break>><<.Series>><<end>>", "fails if it is reached"},
	{"<<printf \"%#v\" .Series>>", "# in a format"},
	{"<<printf \"%#g\" 1.5>>", "# for a fraction"},
	{"<<printf \"%*d\" 5 1>>", "* in a format"},
	{"<<printf \"%b\" 1.5>>", "a fraction in base 2"},
	{"<<printf \"%x\" 1.5>>", "a fraction in base 16"},
	{"<<printf \"%2000d\" 1>>", "width"},
	{"<<$v := 1>><<range $i, $v>><<end>>", "expected :="},
	{"<<" + strings.Repeat("(", 65) + "1" + strings.Repeat(")", 65) + ">>", "depth"},
}

var resourceTemplates = []string{
	"<<.Resource>>", "kube_<<.Resource>>", "kube_<<.Group>>_<<.Resource>>", "<<.Group>><<.Resource>>", "<<if .Group>><<.Group>>_<<end>><<.Resource>>",
	"<<with .Group>><<.>>_<<end>><<.Resource>>", "<<$.Resource>>", "<<printf \"k_%s\" .Resource>>", "<<.Resource | printf \"%s_%s\" .Group>>", "<<.Series>>", "<<.LabelMatchers>>", "<<.GroupBySlice>>", "label", "",
	"<<if eq .Resource \"pod\">>pod_name<<else>><<.Resource>>_name<<end>>", "<<len .Group>>", "<<.resource>>", "<<if ne .Group \"\">>a<<else if .Resource>>b<<end>>",
}

// Every comparison on every pair, and every verb on every value, so that the tables of types are complete.
func matrices() []string {
	var all []string
	operands := []string{`.Series`, `"5"`, `5`, `5.0`, `true`, `(index "5" 0)`, `53`, `-1`}
	for _, f := range []string{"eq", "ne", "lt", "le", "gt", "ge"} {
		for _, a := range operands {
			for _, b := range operands {
				all = append(all, fmt.Sprintf("<<%s %s %s>>", f, a, b))
			}
		}
	}
	values := []string{`.Series`, `"aé"`, `65`, `-255`, `0`, `1.5`, `-1234567.891`, `1e-7`, `0.0`, `100.0`, `true`, `(index "A" 0)`}
	for _, verb := range strings.Split("s v q d b o x X c U t e E f F g G", " ") {
		for _, v := range values {
			if strings.Contains("bxX", verb) && strings.ContainsAny(v, ".-") && v != ".Series" && v != "-255" {
				continue // a fraction in base 2 or 16 is refused
			}
			all = append(all, fmt.Sprintf("<<printf \"%%%s\" %s>>", verb, v))
		}
	}
	for _, flags := range []string{"8", "-8", "08", "+", " ", "+8", "+08", "-08", ".0", ".2", ".10", "8.2", "08.3", "-8.3", "+.1"} {
		for _, verb := range strings.Split("d x b", " ") {
			for _, v := range []string{"42", "-42", "0"} {
				all = append(all, fmt.Sprintf("<<printf \"%%%s%s|\" %s>>", flags, verb, v))
			}
		}
		for _, verb := range strings.Split("f e g G", " ") {
			for _, v := range []string{"3.14159", "-1234567.891", "0.00001234", "0.0", "100.0", "2.5", "999999.5"} {
				all = append(all, fmt.Sprintf("<<printf \"%%%s%s|\" %s>>", flags, verb, v))
			}
		}
	}
	for _, flags := range []string{"8", "-8", ".0", ".1", ".2", "8.1", "-8.1"} {
		for _, v := range []string{`"aéz"`, `.Series`, `""`} {
			all = append(all, fmt.Sprintf("<<printf \"%%%ss|%%%sv|\" %s %s>>", flags, flags, v, v))
		}
	}
	number := 0
	for _, flags := range []string{"", "0", "#", "+", " ", "-", "# ", "+#", "0#", "-0#", "0+ #"} {
		for _, size := range []string{"", "9", ".2", "9.2", ".0", "9.0", "12.6"} {
			for _, verb := range strings.Split("s v q x X d b o O U c T t", " ") {
				for _, v := range []string{`.Series`, `"aé\t"`, `"a\"` + "`" + `"`, `""`, "65", "-233", "0", "true", "(index .Series 0)", ".GroupBySlice"} {
					if verb == "v" && strings.Contains(flags, "#") {
						continue // Go's syntax
					}
					if strings.Contains(v, "Slice") && !strings.Contains("svqxXT", verb) {
						continue // wrong only if it is not empty
					}
					if number++; number%5 != 0 {
						continue // the random ones have the others
					}
					all = append(all, fmt.Sprintf("<<printf \"%%%s%s%s|\" %s>>", flags, size, verb, v))
				}
			}
		}
	}
	for _, v := range []string{"true", `"aéz"`, "'é'", "nil", "1.5", ".LabelValuesByName"} {
		all = append(all, fmt.Sprintf("<<printf \"%%T|%%12T|%%-12.3T|\" %s %s %s>>", v, v, v), fmt.Sprintf("<<printf \"%%09v|\" %s>>", v))
	}
	for _, v := range []string{"true", `"aéz"`, "'é'", "nil"} {
		for _, verb := range []string{"%8v|", "%-8v|"} {
			all = append(all, fmt.Sprintf("<<printf %q %s>>", verb, v))
		}
	}
	all = append(all, kinds()...)
	return append(all, `<<printf "%8q|%-8q|" "a" 'b'>>`, `<<printf "%8t|" true>>`, `<<printf "%4c|%-4c|" 'é' 'b'>>`, `<<printf "%8x|" "ab">>`, `<<printf "%10U|" 'é'>>`)
}

// Every kind of node with every kind of value, and what goes wrong there.
func kinds() []string {
	values := []string{
		".Series", `"a"`, `""`, "1", "0", "-1", "1.5", "0.0", "true", "false", "'x'", "nil", "(index .Series 0)", "(len .GroupBySlice)", ".GroupBySlice", ".LabelValuesByName",
		".LabelValuesByName.pod", ".LabelValuesByName.absent", `(index .LabelValuesByName "absent")`, "(and .GroupBySlice .Series)", "(or nil .Series)", "(print .GroupBySlice)", "(eq .Series .Series)", "$", ".",
	}
	frames := []string{
		"<<V>>", "<<if V>>y<<else>>n<<end>>", "<<if false>><<else if V>>y<<else>>n<<end>>", "<<with V>>[<<len (print .)>>]<<else>>n<<end>>", "<<range V>>x<<else>>n<<end>>",
		"<<range $i, $v := V>><<$i>>;<<else>>n<<end>>", "<<range $v := V>><<print $v>>;<<end>>", "<<$v := V>><<if $v>>y<<end>>", "<<$v := 1>><<$v = V>><<not $v>>", "<<not V>>", "<<len V>>", "<<print V V>>",
		"<<print 1 V>>", "<<print \"a\" V \"b\">>", "<<printf \"%v|\" V>>", "<<printf \"%s\" V>>", "<<printf V>>", "<<index V 0>>", "<<index V \"pod\">>", "<<index .GroupBySlice V>>", "<<index .LabelValuesByName V>>", "<<index V>>",
		"<<eq V V>>", "<<eq V \"a\">>", "<<eq V 1>>", "<<eq 1 2 V>>", "<<ne V nil>>", "<<lt V 1>>", "<<ge V \"a\">>", "<<le V 1.5>>", "<<if and V 1>>y<<end>>", "<<if or V 0>>y<<end>>", "<<V | len>>", "<<V | print 1>>", "<<V | not>>",
		"<<(V).pod>>", "<<V.pod>>", "<<V 1>>", "<<1 | V>>", "<<(V)>>",
	}
	var all []string
	for _, v := range values {
		for _, frame := range frames {
			text := strings.ReplaceAll(frame, "V", v)
			if (v == "$" || v == ".") && !strings.Contains(frame, "if ") && !strings.Contains(frame, "range V") && !strings.Contains(frame, "pod") && (!strings.Contains(frame, "index") || frame == "<<index V>>") && !strings.Contains(frame, "not") {
				continue // the whole data are not printed, nor compared
			}
			all = append(all, text)
		}
	}
	return all
}

func render(text string, data any) outcome {
	t, err := template.New("t").Delims("<<", ">>").Parse(text)
	if err != nil {
		return outcome{Error: err.Error()}
	}
	var out bytes.Buffer
	if err := t.Execute(&out, data); err != nil {
		return outcome{Error: err.Error()}
	}
	s := out.String()
	return outcome{Output: &s}
}

// once keeps one outcome if all are the same.
func once(all []outcome) []outcome {
	for _, o := range all[1:] {
		same := o.Error == all[0].Error && (o.Output == nil) == (all[0].Output == nil)
		if !same || o.Output != nil && *o.Output != *all[0].Output {
			return all
		}
	}
	return all[:1]
}

func queryCase(text, why string) testCase {
	c := testCase{Template: text, Refused: why}
	for _, d := range queries {
		values := map[string]string{}
		for k, v := range d.Values {
			values[k] = strings.Join(v, "|")
		}
		c.Outcomes = append(c.Outcomes, render(text, query{d.Series, d.LabelMatchers, values, strings.Join(d.GroupBy, ","), d.GroupBy}))
	}
	c.Outcomes = once(c.Outcomes)
	return c
}

func main() {
	amount := amount.Parse(7, 11)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	line := func(v any, last bool) {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil {
			panic(err)
		}
		comma := ","
		if last {
			comma = ""
		}
		fmt.Fprintf(out, "  %s%s\n", strings.TrimSuffix(b.String(), "\n"), comma)
	}
	seen := map[string]bool{}
	var cases []testCase
	for _, text := range append(append([]string{}, templates...), matrices()...) {
		if !seen[text] {
			seen[text] = true
			cases = append(cases, queryCase(text, ""))
		}
	}
	for _, r := range refused {
		cases = append(cases, queryCase(r[0], r[1]))
	}
	var resourceCases []testCase
	for _, text := range resourceTemplates {
		c := testCase{Template: text}
		for _, d := range resources {
			c.Outcomes = append(c.Outcomes, render(text, resource{d.Group, d.Resource}))
		}
		c.Outcomes = once(c.Outcomes)
		resourceCases = append(resourceCases, c)
	}

	fmt.Fprintf(out, "{\"go\": %q,\n\"data\": [\n", runtime.Version())
	for i, d := range queries {
		line(d, i == len(queries)-1)
	}
	fmt.Fprint(out, "],\n\"cases\": [\n")
	for i, c := range cases {
		line(c, i == len(cases)-1)
	}
	fmt.Fprint(out, "],\n\"random\": [\n")
	family := func(cases []testCase) {
		for i, c := range cases {
			line(c, i == len(cases)-1)
		}
	}
	family(randomCases(amount, 500))
	fmt.Fprint(out, "],\n\"typed\": [\n")
	family(typedCases(amount, 600))
	fmt.Fprint(out, "],\n\"torn\": [\n")
	family(tornCases(amount, 300))
	fmt.Fprint(out, "],\n\"resources\": [\n")
	for i, d := range resources {
		line(d, i == len(resources)-1)
	}
	fmt.Fprint(out, "],\n\"resourceCases\": [\n")
	for i, c := range resourceCases {
		line(c, i == len(resourceCases)-1)
	}
	fmt.Fprint(out, "]}\n")
}

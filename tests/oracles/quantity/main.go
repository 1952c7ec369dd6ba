// Quantity writes what resource.Quantity makes of a table of texts, milli-values and floats.
package main

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"os"
	"strconv"
	"strings"

	inf "gopkg.in/inf.v0"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/metricrule/metricrule/tests/oracles/amount"
)

type fixture struct {
	// Parse: text, canonical form or "", milli-units rounded away from zero and clamped, error or "".
	Parse [][4]string `json:"parse"`
	// Milli: milli-units, canonical form.
	Milli [][2]string `json:"milli"`
	// Round: bits of a float, milli-units rounded half up, milli-units clamped or not.
	Round [][3]string `json:"round"`
}

var (
	maxMilli = big.NewInt(math.MaxInt64)
	minMilli = new(big.Int).Neg(maxMilli)
)

func clamp(n *big.Int) string {
	if n.Cmp(maxMilli) > 0 {
		n = maxMilli
	}
	if n.Cmp(minMilli) < 0 {
		n = minMilli
	}
	return n.String()
}

func parse(text string) [4]string {
	q, err := resource.ParseQuantity(text)
	if err != nil {
		return [4]string{text, "", "", err.Error()}
	}
	number, suffix := q.CanonicalizeBytes(nil)
	canonical := string(number) + string(suffix)
	if s := q.String(); s != canonical && s != text {
		panic(fmt.Sprintf("%q: String %q is neither the text nor canonical %q", text, s, canonical))
	}
	milli := new(inf.Dec).Round(q.AsDec(), 3, inf.RoundUp)
	return [4]string{text, canonical, clamp(milli.UnscaledBig()), ""}
}

func round(bits uint64) [3]string {
	value := math.Float64frombits(bits)
	exact := new(big.Rat).SetFloat64(value)
	exact.Mul(exact, big.NewRat(1000, 1))
	exact.Add(exact, big.NewRat(1, 2))
	// floor: Euclidean division of a positive denominator
	whole := new(big.Int).Div(exact.Num(), exact.Denom())
	clamped := clamp(whole)
	return [3]string{strconv.FormatUint(bits, 16), clamped, strconv.FormatBool(clamped != whole.String())}
}

func main() {
	random := amount.Parse(1, 2)
	var out fixture

	seen := map[string]bool{}
	add := func(texts ...string) {
		for _, text := range texts {
			if !seen[text] {
				seen[text] = true
				out.Parse = append(out.Parse, parse(text))
			}
		}
	}
	numbers := []string{
		"0", "1", "5", "10", "99", "100", "999", "1000", "1001", "1023", "1024", "1025", "1500", "1536", "2048", "12345",
		"1000000", "1048576", "123456789", "1000000000", "9223372036854775", "9223372036854776",
		"9223372036854775806", "9223372036854775807", "9223372036854775808", "12345678901234567890",
		"123456789012345678901234567890", "00", "007", "00012", "100000000000000000",
		"0.0", "0.1", "0.5", "0.25", "1.0", "1.5", "1.1", "1.10", "1.2345", ".5", ".25", ".000", "5.", "0.0001", "0.0005",
		"0.001", "0.0009999999", "0.0000000001", "0.9999999999", "0.999999999", "1.0000000001", "1023.9999999999",
		"9.99999999999999999999", "3.14159265358979323846", "9223372036854775807.5", "0.00000000000000000000001",
	}
	suffixes := []string{
		"", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
		"e0", "e1", "e2", "e3", "E3", "e+6", "e-1", "e-3", "E-9", "e-12", "e18", "e30", "e400", "E+2", "e03",
	}
	for _, number := range numbers {
		for _, suffix := range suffixes {
			add(number+suffix, "-"+number+suffix)
		}
	}
	for _, number := range []string{"1", "12.5", "", ".", "-", "+", "0"} {
		for _, suffix := range []string{
			"", " ", "K", "ki", "kI", "KI", "mi", "Ni", "ei", "e", "e-", "e+", "E-", "ee", "e3e", "e3.5", "e3m", "mm", "mk", "kk",
			"i", "ii", "x", "Kib", "KiB", "B", "%", "e99999999999999999999", "e9223372036854775807", "m5", "Ki3", "k-3", "-3", "+", "-",
			"..", ".5", ".5.5", ",5", "_", "\n", "\x00", "µ", "٣", "e٣", "kM", "Ee5", "E5E", "e 5", "0x10", "Inf", "NaN",
		} {
			add(number + suffix)
		}
	}
	add("NaN", "nan", "Inf", "+Inf", "-Inf", "abc", " 1", "1 ", "\t1", "1\n", "+5", "+0", "-0", "--1", "++1", "+-1", "1e3", "1E3",
		"0x1", "1_000", "1,5", "１", "½", "1e", "1E", "1Ei", "10E", "0Ki", "0e5", "-0.0", "+.5", "-.5", "1.5e3", "1.5E-3", "2.5k",
		"1024Ki", "0.5Gi", "0.0001Ki", "1.1Ki", "1.5Ki", "1.25Ki", "0.001Mi", "1023.5Ki", "8Ei", "7.999Ei", "9Ei")
	for range random.Of(900) {
		var text strings.Builder
		text.WriteString([]string{"", "", "", "-", "+"}[random.IntN(5)])
		for range 1 + random.IntN(1+random.IntN(22)) {
			text.WriteByte("0000123456789"[random.IntN(13)])
		}
		if random.IntN(2) == 0 {
			text.WriteByte('.')
			for range random.IntN(1 + random.IntN(22)) {
				text.WriteByte("0000123456789"[random.IntN(13)])
			}
		}
		text.WriteString(suffixes[random.IntN(len(suffixes))])
		add(text.String())
	}
	for range random.Of(300) {
		var text strings.Builder
		for range random.IntN(7) {
			text.WriteByte("0015.-+eEinumkKMGTP x"[random.IntN(21)])
		}
		add(text.String())
	}

	millis := map[int64]bool{}
	milli := func(n int64) {
		if !millis[n] {
			millis[n] = true
			out.Milli = append(out.Milli, [2]string{strconv.FormatInt(n, 10), resource.NewMilliQuantity(n, resource.DecimalSI).String()})
		}
	}
	for power, n := 0, int64(1); power < 19; power, n = power+1, n*10 {
		for _, factor := range []int64{1, 2, 5, 9} {
			for _, delta := range []int64{-1, 0, 1} {
				if n <= math.MaxInt64/factor {
					milli(n*factor + delta)
					milli(-n*factor + delta)
				}
			}
		}
	}
	milli(math.MaxInt64)
	milli(-math.MaxInt64)
	for range random.Of(300) {
		n := random.Int64() >> random.IntN(63)
		milli(n)
		milli(-n / 1000 * 1000)
	}

	floats := []float64{
		0, math.Copysign(0, -1), 1, 0.5, 0.0005, 0.0015, 0.0025, 1.0005, 2.0005, 0.001, 0.0004999, 0.00049999999999999999, 0.1, 0.3,
		1.1, 1.5, 4.35, 1.005, 0.0625, 0.00048828125, 0.0009765625, 0.03125, 0.4375, 1e15, 1e18, 9223372036854775, 9223372036854775.5,
		9223372036854776, 9.223372036854775e15, 9223372036854774, 1e300, math.MaxFloat64, math.SmallestNonzeroFloat64, 1e-300, 1e-19, 1e-20,
		2251799813685248.5, 4503599627370496.5, 9007199254740993, 0.49999999999999994, 123456.7895, 123456.7885, 8.5e-4,
		math.Ldexp(1, -54), math.Ldexp(1, -64), math.Ldexp(1, -11), math.Ldexp(1, -10), math.Ldexp(3, -11),
	}
	for _, value := range floats {
		out.Round = append(out.Round, round(math.Float64bits(value)), round(math.Float64bits(-value)))
	}
	for range random.Of(700) {
		// ties and their neighbours: an odd multiple of 1/2 thousandth is exact only with a small odd part of the denominator
		tie := float64(random.IntN(1<<20)*2+1) / 16
		for _, value := range []float64{tie, math.Nextafter(tie, 0), float64(random.IntN(1<<30)) / 2000, random.NormFloat64() * math.Pow(10, float64(random.IntN(36)-17))} {
			if random.IntN(2) == 0 {
				value = -value
			}
			out.Round = append(out.Round, round(math.Float64bits(value)))
		}
	}

	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		panic(err)
	}
}

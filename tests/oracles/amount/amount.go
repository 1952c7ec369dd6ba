// Package amount reads how many random cases a program is to write, and of which seed.
package amount

import (
	"flag"
	"math/rand/v2"
)

// Amount is what the flags say. Without them the committed fixtures come out.
type Amount struct {
	*rand.Rand
	count int
}

// Parse reads -seed and -count; first and second seed what is committed.
func Parse(first, second uint64) *Amount {
	seed := flag.Uint64("seed", first, "of the random cases")
	count := flag.Int("count", 0, "how many random cases of each family; 0: as committed")
	flag.Parse()
	return &Amount{rand.New(rand.NewPCG(*seed, second)), *count}
}

// Of is the number of cases of a family whose committed fixture has so many.
func (a *Amount) Of(committed int) int {
	if a.count > 0 {
		return a.count
	}
	return committed
}

// Pick gives one of the options.
func (a *Amount) Pick(options ...string) string { return options[a.IntN(len(options))] }

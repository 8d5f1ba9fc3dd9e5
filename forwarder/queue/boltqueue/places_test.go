package boltqueue

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// somePlaces are sets of every kind.
func somePlaces() map[string][]uint64 {
	random := rand.New(rand.NewPCG(7, 8))
	out := map[string][]uint64{
		"the first":                     {0},
		"the last":                      {blockSize - 1},
		"the ends of words":             {0, 63, 64, 127, 128, blockSize - 64, blockSize - 1},
		"a run":                         {5, 6, 7, 8},
		"a run over the end of a word":  {62, 63, 64, 65},
		"all":                           nil,
		"all but the first":             nil,
		"all but the last":              nil,
		"all but one":                   nil,
		"every other":                   nil,
		"as many runs as can be told":   nil,
		"one run more than can be told": nil,
		"one in a hundred, at random":   nil,
		"half, at random":               nil,
		"all but one in a hundred":      nil,
	}
	for i := range uint64(blockSize) {
		for name, in := range map[string]bool{
			"all":                           true,
			"all but the first":             i > 0,
			"all but the last":              i < blockSize-1,
			"all but one":                   i != 700,
			"every other":                   i%2 == 1,
			"as many runs as can be told":   i%3 == 0 && i < 3*(manyRuns-1),
			"one run more than can be told": i%3 == 0 && i < 3*manyRuns,
			"one in a hundred, at random":   random.IntN(100) == 0,
			"half, at random":               random.IntN(2) == 0,
			"all but one in a hundred":      random.IntN(100) > 0,
		} {
			if in {
				out[name] = append(out[name], i)
			}
		}
	}
	return out
}

func placesOf(list []uint64) (p places) {
	for _, i := range list {
		p.set(blockSize*3+i, true)
	}
	return p
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	for name, list := range somePlaces() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := placesOf(list)
			last, runs := -1, 0
			for i := range uint64(blockSize) {
				in := slices.Contains(list, i)
				if p.has(i) != in {
					t.Fatalf("the set has %d: %t, want %t", i, !in, in)
				}
				if in && last != int(i)-1 || in && i == 0 {
					runs++
				}
				if in {
					last = int(i)
				}
				if got := p.last(int(i)); got != last {
					t.Fatalf("the last up to %d is %d, want %d", i, got, last)
				}
				if got := p.next(int(i), in); got != int(i) {
					t.Fatalf("the next from %d on is %d, want itself", i, got)
				}
			}
			if got := p.runs(); got != runs {
				t.Errorf("%d runs, want %d", got, runs)
			}

			b := p.appendTo(nil)
			if len(b) > 1+placesBytes {
				t.Errorf("the coding has %d bytes, and with a bit for each it has %d", len(b), 1+placesBytes)
			}
			d := decoder{rest: append(slices.Clone(b), 1, 2, 3)}
			if got := d.places(); d.bad || got != p || len(d.rest) != 3 {
				t.Errorf("%x decodes to %x, want %x", b, got, p)
			}
			for i := range b {
				d := decoder{rest: b[:i]}
				if d.places(); !d.bad {
					t.Errorf("a coding cut at %d of %d bytes is read", i, len(b))
				}
			}

			for _, i := range list {
				p.set(i, false)
			}
			if !p.empty() || p.last(blockSize-1) != -1 || p.next(0, true) != blockSize || p.runs() != 0 {
				t.Errorf("after everything was taken out the set is %x", p)
			}
		})
	}
}

func TestPlacesAdd(t *testing.T) {
	t.Parallel()
	a, b := placesOf([]uint64{1, 64, 200}), placesOf([]uint64{2, 64, 1023})
	if a.add(&b); a != placesOf([]uint64{1, 2, 64, 200, 1023}) {
		t.Errorf("together they are %x", a)
	}
}

func TestPlacesRefused(t *testing.T) {
	t.Parallel()
	for name, b := range map[string][]byte{
		"nothing":                {},
		"a run beyond the block": {1, 0xff, 0x07, 2},
		"a run too long":         {1, 0, 0x81, 0x08},
		"a second run beyond it": {2, 0, 1, 0xff, 0x07, 1},
		"a gap beyond it":        {1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1},
		"too few runs":           {3, 0, 1, 1, 1},
		"too few bits":           append([]byte{0}, make([]byte, placesBytes-1)...),
	} {
		d := decoder{rest: b}
		if p := d.places(); !d.bad {
			t.Errorf("%s: decoded %x, want a fault", name, p)
		}
	}
}

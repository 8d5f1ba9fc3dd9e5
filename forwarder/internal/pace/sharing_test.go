package pace

import (
	"testing"
	"time"
)

// A shared pause as it is while the server is probed.
var probed = Shared{Version: 2, Probe: noon.Add(4 * time.Second), Delay: 4 * time.Second, Prober: "b", Probed: "e"}

// The news of a node change the shared pause, and applied again, nothing.
func TestNews(t *testing.T) {
	t.Parallel()
	until := func(d time.Duration) Verdict { return Verdict{Hold: noon.Add(d)} }
	held := Shared{Version: 2, Hold: noon.Add(time.Minute)}
	tests := map[string]struct {
		story        func(p *patient)
		before, want Shared
	}{
		"asked to wait":                      {func(p *patient) { p.ends(p.begins(), until(time.Minute)) }, Shared{Version: 1}, Shared{Version: 1, Hold: noon.Add(time.Minute)}},
		"asked to wait, not so long":         {func(p *patient) { p.ends(p.begins(), until(time.Second)) }, held, held},
		"five failures":                      {func(p *patient) { p.fail(5) }, Shared{Version: 1}, Shared{Version: 1, Probe: noon.Add(time.Second), Delay: time.Second, Prober: "a"}},
		"five failures, and others too":      {func(p *patient) { p.fail(5) }, probed, probed},
		"an answer":                          {func(p *patient) { p.fail(5); p.ends(Ticket{}, okay) }, probed, Shared{Version: 2}},
		"a probe, while another got through": {func(p *patient) { p.Follow(probed, "a", p.now); p.now = probed.Probe; p.fail(1) }, Shared{Version: 3}, Shared{Version: 3}},
		"a probe": {
			func(p *patient) {
				p.Follow(Shared{Version: 1}, "a", p.now)
				p.Follow(probed, "a", p.now)
				p.now = probed.Probe
				p.fail(1)
			},
			probed,
			Shared{Version: 2, Probe: noon.Add(12 * time.Second), Delay: 8 * time.Second, Prober: "a", Probed: "e"},
		},
		"a replay": {
			func(p *patient) { p.Follow(held, "a", p.now); p.ProbeNow(p.now) },
			held,
			Shared{Version: 2, Probe: noon, Delay: time.Second},
		},
		"a replay, and an answer": {
			func(p *patient) { p.Follow(held, "a", p.now); p.ProbeNow(p.now); p.ends(p.begins(), okay) },
			held,
			Shared{Version: 2},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPatient(t)
			tt.story(p)
			n, any := p.News()
			if !any {
				t.Fatal("no news")
			}
			got := n.Apply(tt.before, "a")
			if got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
			if again := n.Apply(got, "a"); again != got {
				t.Errorf("applied again: %+v, want %+v", again, got)
			}
			if p.Published(n); p.news.kinds != 0 {
				t.Error("there are still news")
			}
		})
	}
}

// A node that has learnt more while it published has news again.
func TestNewsMeanwhile(t *testing.T) {
	t.Parallel()
	p := newPatient(t)
	p.ends(p.begins(), Verdict{Hold: noon.Add(time.Second)})
	n, _ := p.News()
	p.End(Ticket{}, Verdict{Hold: noon.Add(time.Hour)}, errDown, p.now)
	p.Published(n)
	if n, any := p.News(); !any || !n.Apply(Shared{}, "a").Hold.Equal(noon.Add(time.Hour)) {
		t.Errorf("news %+v", n)
	}
}

// One node makes the next probe: when it is due, and the one that has failed last somewhat
// later.
func TestTake(t *testing.T) {
	t.Parallel()
	later := probed
	later.Hold = noon.Add(time.Hour)
	for name, tt := range map[string]struct {
		s     Shared
		node  string
		early bool
		at    time.Duration // from noon
		want  bool
	}{
		"not due":                       {probed, "a", false, 3 * time.Second, false},
		"due":                           {probed, "a", false, 4 * time.Second, true},
		"a node that starts":            {probed, "a", true, 0, true},
		"the last one":                  {probed, "b", false, 4 * time.Second, false},
		"the last one, a while later":   {probed, "b", false, 4400 * time.Millisecond, true},
		"during a hold":                 {later, "a", false, 5 * time.Second, false},
		"a node that starts, in a hold": {later, "a", true, 5 * time.Second, false},
		"not paused":                    {Shared{}, "a", true, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := noon.Add(tt.at)
			taken, ok := tt.s.Take(tt.node, "f", tt.early, now, time.Minute)
			if ok != tt.want {
				t.Fatalf("may take: %v", ok)
			}
			if !ok {
				return
			}
			if _, second := taken.Take("c", "g", false, now.Add(time.Minute-1), time.Minute); second {
				t.Error("there are two probes at once")
			}
			if _, after := taken.Take("c", "g", false, now.Add(time.Minute), time.Minute); !after || taken.Probed != "f" {
				t.Errorf("%+v: nobody takes over", taken)
			}
		})
	}
}

// A node whose pauses others end twice within a minute pauses only itself, for a while.
func TestApart(t *testing.T) {
	t.Parallel()
	p := newPatient(t)
	version := int64(1)
	shares := func() bool {
		p.Helper()
		p.fail(5)
		n, any := p.News()
		if !any {
			return false
		}
		version++
		s := n.Apply(Shared{}, "a")
		s.Version = version
		p.Published(n)
		p.Follow(s, "a", p.now)
		return true
	}
	overruled := func() {
		version++
		p.Follow(Shared{Version: version}, "a", p.now)
		p.flows()
	}
	for range 2 {
		if !shares() {
			t.Fatal("the first pauses are not shared")
		}
		p.now = p.now.Add(OverruledWithin)
		overruled()
	}
	p.now = p.now.Add(OverruledWithin - 1)
	if !shares() {
		t.Fatal("a pause is not shared although the last one was long ago")
	}
	overruled()
	if shares() {
		t.Fatal("a pause is shared that others have ended twice")
	}
	p.isPaused(time.Time{})
	p.ends(Ticket{}, okay)
	p.news = News{}
	p.now = p.now.Add(ApartFor)
	if !shares() {
		t.Error("a pause is not shared a long time later")
	}
}

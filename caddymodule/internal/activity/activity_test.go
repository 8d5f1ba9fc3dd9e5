package activity

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/scribegate/scribegate/verifier"
)

// noon is the beginning of a minute. It has no monotonic reading, as after a clock was set.
var noon = time.Date(2026, 3, 19, 12, 0, 0, 0, time.UTC)

// minutes returns the minutes of an hour that had attempts, by their age in minutes.
func minutes(h Hour) map[int]Minute {
	found := make(map[int]Minute)
	for i, m := range h.Minutes {
		if m != (Minute{}) {
			found[len(h.Minutes)-1-i] = m
		}
	}
	return found
}

// An attempt is counted in its minute, and leaves the hour after 60 of them.
func TestHourOfAnUpstream(t *testing.T) {
	t.Parallel()
	const lag = 3 * time.Second
	delivered, failed := Minute{Delivered: 1}, Minute{Failed: 1}
	type attempt struct {
		after     time.Duration // from noon
		delivered bool
	}
	for name, c := range map[string]struct {
		attempts []attempt
		now      time.Duration // from noon
		want     map[int]Minute
	}{
		"none":                           {nil, 0, map[int]Minute{}},
		"just now":                       {[]attempt{{0, true}}, 0, map[int]Minute{0: delivered}},
		"a failure":                      {[]attempt{{0, false}}, 0, map[int]Minute{0: failed}},
		"at the end of its minute":       {[]attempt{{0, true}}, time.Minute - 1, map[int]Minute{0: delivered}},
		"a moment into the next minute":  {[]attempt{{time.Minute - 1, true}}, time.Minute, map[int]Minute{1: delivered}},
		"on both sides of a boundary":    {[]attempt{{time.Minute - 1, true}, {time.Minute, false}}, time.Minute, map[int]Minute{1: delivered, 0: failed}},
		"both in one minute":             {[]attempt{{0, true}, {59 * time.Second, false}}, 59 * time.Second, map[int]Minute{0: {1, 1}}},
		"in the first of the 60 minutes": {[]attempt{{0, true}}, time.Hour - 1, map[int]Minute{59: delivered}},
		"an hour ago":                    {[]attempt{{0, true}}, time.Hour, map[int]Minute{}},
		"after a gap":                    {[]attempt{{0, true}, {17 * time.Minute, false}}, 20 * time.Minute, map[int]Minute{20: delivered, 3: failed}},
		"after an idle hour":             {[]attempt{{0, true}, {time.Hour, false}}, time.Hour, map[int]Minute{0: failed}},
		"after an idle week":             {[]attempt{{0, true}, {7 * 24 * time.Hour, false}}, 7*24*time.Hour + time.Minute, map[int]Minute{1: failed}},
		"read after a week":              {[]attempt{{0, true}}, 7 * 24 * time.Hour, map[int]Minute{}},

		"two goroutines at a boundary":         {[]attempt{{time.Minute, true}, {time.Minute - 1, false}, {time.Minute, false}}, time.Minute, map[int]Minute{0: {1, 2}}},
		"read a moment before":                 {[]attempt{{time.Minute, true}}, time.Minute - 1, map[int]Minute{0: delivered}},
		"a clock set back by hours":            {[]attempt{{3 * time.Hour, true}, {0, false}}, 0, map[int]Minute{0: {1, 1}}},
		"goes on after the clock was set back": {[]attempt{{3 * time.Hour, true}, {0, false}, {2 * time.Minute, false}}, 2 * time.Minute, map[int]Minute{2: {1, 1}, 0: failed}},
		"is not seen again at its old time":    {[]attempt{{3 * time.Hour, true}, {0, false}}, 3 * time.Hour, map[int]Minute{}},
		"read after the clock was set back":    {[]attempt{{3 * time.Hour, true}}, time.Minute, map[int]Minute{0: delivered}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := New()
			for _, a := range c.attempts {
				r.Attempt("ehr", a.delivered, lag, noon.Add(a.after))
			}
			h := r.Upstream("ehr", noon.Add(c.now))
			if got := minutes(h); fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("minutes %v, want %v", got, c.want)
			}
			want := Hour{Minutes: h.Minutes}
			for _, m := range c.want {
				want.Delivered, want.Failed = want.Delivered+m.Delivered, want.Failed+m.Failed
			}
			if want.Delivered > 0 {
				want.Lag = lag
			}
			if h != want {
				t.Errorf("delivered %d, failed %d, lag %s, want %d, %d, %s", h.Delivered, h.Failed, h.Lag, want.Delivered, want.Failed, want.Lag)
			}
			if again := r.Upstream("ehr", noon.Add(c.now)); again != h {
				t.Errorf("read again: %v", again)
			}
		})
	}
}

// The lag is that of the newest delivery, whatever failed after it.
func TestLag(t *testing.T) {
	t.Parallel()
	r := New()
	want := func(after, lag time.Duration) {
		t.Helper()
		if h := r.Upstream("ehr", noon.Add(after)); h.Lag != lag {
			t.Errorf("after %s: lag %s, want %s", after, h.Lag, lag)
		}
	}
	want(0, 0)
	r.Attempt("ehr", true, time.Hour, noon)
	r.Attempt("ehr", true, time.Second, noon)
	want(0, time.Second)
	r.Attempt("ehr", true, time.Minute, noon.Add(30*time.Minute))
	r.Attempt("ehr", false, 0, noon.Add(31*time.Minute))
	want(31*time.Minute, time.Minute)
	want(60*time.Minute, time.Minute)
	want(90*time.Minute, 0)
}

// Upstreams do not share their minutes, and those without an attempt for an hour use no memory
// once another is added.
func TestIdleUpstreamsAreForgotten(t *testing.T) {
	t.Parallel()
	r := New()
	r.Attempt("idle", true, 0, noon)
	r.Attempt("working", true, 0, noon)
	r.Attempt("working", false, 0, noon.Add(59*time.Minute))
	if got := r.Upstream("idle", noon.Add(59*time.Minute)); got.Delivered != 1 || got.Failed != 0 {
		t.Errorf("of the other upstream: %v", minutes(got))
	}
	for i := range 1000 {
		r.Attempt(fmt.Sprint("reloaded_", i), true, 0, noon.Add(time.Hour+time.Duration(i)*time.Minute))
	}
	if n := len(r.upstreams); n > 61 {
		t.Errorf("%d upstreams are kept, although one has an attempt each minute", n)
	}
	if r.upstreams["idle"] != nil {
		t.Error("an upstream without an attempt for an hour is kept")
	}
}

func TestRejections(t *testing.T) {
	t.Parallel()
	r := New()
	if got := r.Rejections(); len(got) != 0 {
		t.Errorf("before the first: %v", got)
	}
	r.Rejected("soniox", verifier.AuthMismatch, "203.0.113.1", noon)
	r.Rejected("soapnoteapi", verifier.SignatureMismatch, "203.0.113.2", noon.Add(time.Second))
	r.Rejected("soapnoteapi", verifier.TimestampStale, "203.0.113.3", noon.Add(2*time.Second))
	r.Rejected("soniox", verifier.AuthMismatch, "203.0.113.4", noon.Add(3*time.Second))
	want := []Rejection{
		{"soniox", verifier.AuthMismatch, 2, noon.Add(3 * time.Second), "203.0.113.4"},
		{"soapnoteapi", verifier.TimestampStale, 1, noon.Add(2 * time.Second), "203.0.113.3"},
		{"soapnoteapi", verifier.SignatureMismatch, 1, noon.Add(time.Second), "203.0.113.2"},
	}
	got := r.Rejections()
	if !slices.Equal(got, want) {
		t.Errorf("rejections\n%v, want\n%v", got, want)
	}
	r.Rejected("soniox", verifier.AuthMismatch, "203.0.113.5", noon.Add(4*time.Second))
	if got[0] != want[0] {
		t.Error("what was read is changed by a later rejection")
	}
}

func TestLastGenuine(t *testing.T) {
	t.Parallel()
	r := New()
	if at, ok := r.LastGenuine("soniox"); ok {
		t.Errorf("before the first: %s", at)
	}
	for _, after := range []time.Duration{0, time.Hour, time.Minute} { // the clock was set back
		r.Genuine("soniox", noon.Add(after))
		r.Genuine("soapnoteapi", noon)
		if at, ok := r.LastGenuine("soniox"); !ok || !at.Equal(noon.Add(after)) {
			t.Errorf("at %s, %t, want %s", at, ok, noon.Add(after))
		}
	}
}

func TestProviders(t *testing.T) {
	t.Parallel()
	r := New()
	r.Genuine("soniox", noon)
	for range 2 { // handlers, or reloads
		r.BeginProvider("soniox")
		r.BeginProvider("soapnoteapi")
	}
	if got := r.Providers(); !slices.Equal(got, []string{"soapnoteapi", "soniox"}) {
		t.Errorf("providers %v", got)
	}
	if at, ok := r.LastGenuine("soniox"); !ok || !at.Equal(noon) {
		t.Errorf("the last genuine request is forgotten: %s, %t", at, ok)
	}
	if at, ok := r.LastGenuine("soapnoteapi"); ok {
		t.Errorf("a request that was not sent: %s", at)
	}
}

// Nothing that many goroutines record is lost.
func TestManyGoroutines(t *testing.T) {
	t.Parallel()
	const goroutines, each = 8, 500
	r := New()
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for range each {
				r.Attempt("ehr", true, time.Second, noon)
				r.Rejected("soniox", verifier.Method, "203.0.113.1", noon)
				r.Genuine("soniox", noon)
				r.Upstream("ehr", noon)
				r.Rejections()
			}
		})
	}
	all.Wait()
	if h := r.Upstream("ehr", noon); h.Delivered != goroutines*each {
		t.Errorf("%d deliveries, want %d", h.Delivered, goroutines*each)
	}
	if got := r.Rejections(); len(got) != 1 || got[0].Count != goroutines*each {
		t.Errorf("rejections %v, want %d", got, goroutines*each)
	}
}

// BenchmarkRecorder measures what the paths of deliveries and requests pay.
func BenchmarkRecorder(b *testing.B) {
	for name, record := range map[string]func(*Recorder){
		"attempt":  func(r *Recorder) { r.Attempt("ehr", true, time.Second, time.Now()) },
		"rejected": func(r *Recorder) { r.Rejected("soniox", verifier.AuthMismatch, "203.0.113.1", time.Now()) },
		"genuine":  func(r *Recorder) { r.Genuine("soniox", time.Now()) },
	} {
		b.Run(name, func(b *testing.B) {
			r := New()
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					record(r)
				}
			})
		})
	}
}

package forwarder

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

// fromSource is a transcription that the handler with this source received.
func fromSource(source string) *event.Event {
	e := sampleTranscription()
	e.Source = source
	return e
}

// A vault has credentials by source. It counts how often it is asked.
type vault struct {
	mu       sync.Mutex
	bySource map[string]string
	asked    int
}

func (v *vault) credential(provider, source, header string) (string, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.asked++
	value, ok := v.bySource[source]
	return value, ok && provider == "soniox" && header == "X-Webhook-Secret"
}

func (v *vault) count() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.asked
}

func (v *vault) set(source, value string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.bySource == nil {
		v.bySource = make(map[string]string)
	}
	v.bySource[source] = value
}

// A rawInbox answers 200 and notes the credentials and the attempts that it is sent.
type rawInbox struct {
	mu   sync.Mutex
	sent []string
}

func (i *rawInbox) Send(_ context.Context, m *Message) (Answer, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.sent = append(i.sent, m.Header.Get("X-Webhook-Secret")+" "+m.Header.Get("scribegate-attempt"))
	return Answer{Status: 200}, nil
}

func (i *rawInbox) all() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.sent)
}

// A delivery whose credential is missing waits: it is not sent, uses no attempt,
// has no outcome, pauses nothing, and is sent when the credential is there.
func TestHeldWaitsForItsCredential(t *testing.T) {
	t.Parallel()
	for name, retried := range map[string]bool{"first attempt": false, "retry": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				v, inbox := &vault{}, new(rawInbox)
				v.set("b", "secret of b")
				r := newRig(t, Upstream{Name: "lab", Format: Raw, Sender: inbox, Credential: v.credential})
				item := r.addEvent("lab", fromSource("a"), retried)
				elapse(time.Hour)
				if state, outcomes := r.state(item); state != queue.Pending || len(outcomes) != 0 || len(inbox.all()) != 0 {
					t.Fatalf("the event is %s after %v, and %q was sent", state, outcomes, inbox.all())
				}
				if r.paused(t, "lab") || len(r.obs.pauses()) != 0 || len(r.obs.attempts) != 0 || len(r.obs.problems) != 0 {
					t.Errorf("pauses %v, attempts %v, problems %v, want none", r.obs.pauses(), r.obs.attempts, r.obs.problems)
				}
				if n := r.d.Status()[0].InFlight; n != 0 {
					t.Errorf("%d in flight, want none", n)
				}
				if v.count() > 3700 || r.claimCount() > 3700 {
					t.Errorf("asked %d times for the credential and %d times for deliveries in an hour", v.count(), r.claimCount())
				}
				v.set("a", "secret of a")
				elapse(credentialCheck)
				want := "secret of a 1"
				if retried {
					want = "secret of a 2"
				}
				if fmt.Sprint(inbox.all()) != "["+want+"]" || r.count("lab", queue.Delivered) != 1 {
					t.Errorf("sent %q, want %q", inbox.all(), want)
				}
			})
		})
	}
}

// What waits for a credential takes no slot, no token of the rate limit and no
// probe of what can be sent.
func TestHeldStarvesNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v, inbox := &vault{}, new(rawInbox)
		v.set("b", "secret of b")
		r := newRig(t)
		for range 100 {
			r.addEvent("lab", fromSource("a"), false)
		}
		r.addEvent("lab", fromSource("b"), false)
		r.apply(Upstream{Name: "lab", Format: Raw, Sender: inbox, Credential: v.credential, Concurrency: 1, RateLimit: 1})
		synctest.Wait()
		if len(inbox.all()) != 1 {
			t.Fatalf("sent %q at once, want the event that has a credential", inbox.all())
		}
		for range 3 {
			r.addEvent("lab", fromSource("b"), false)
		}
		elapse(2 * time.Second)
		if len(inbox.all()) != 3 {
			t.Errorf("sent %q within 2 s at a rate of 1, want 3", inbox.all())
		}
		elapse(time.Hour)
		if n := r.count("lab", queue.Pending); n != 100 || len(inbox.all()) != 4 {
			t.Errorf("%d wait and %d were sent, want 100 and 4", n, len(inbox.all()))
		}
	})
}

func TestHeldIsNoProbe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := &vault{}
		v.set("b", "secret of b")
		s := scripted(always(500))
		r := newRig(t, Upstream{Name: "lab", Format: Raw, Sender: s, Credential: v.credential, Retry: []time.Duration{time.Hour, time.Hour}})
		for range 5 {
			r.addEvent("lab", fromSource("b"), false)
		}
		synctest.Wait()
		if !r.paused(t, "lab") {
			t.Fatal("not paused after five failures")
		}
		for range 3 {
			r.addEvent("lab", fromSource("a"), false)
		}
		s.now(always(200))
		r.addEvent("lab", fromSource("b"), false)
		elapse(time.Second)
		if r.paused(t, "lab") || r.count("lab", queue.Delivered) != 1 {
			t.Errorf("paused %v with %d delivered, want the probe to be the event that has a credential", r.paused(t, "lab"), r.count("lab", queue.Delivered))
		}
	})
}

// A new configuration is looked at at once; one in which nothing needs a
// credential gets everything.
func TestHeldIsReleasedByAConfiguration(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(up *Upstream){
		"that has the credential": func(up *Upstream) {
			v := &vault{}
			v.set("a", "secret of a")
			up.Credential = v.credential
		},
		"of another format": func(up *Upstream) { up.Format = Structured },
		"of another upstream": func(up *Upstream) { // of which the runner is a new one
			up.Format, up.Identity = Structured, "http://b"
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				inbox := new(rawInbox)
				up := Upstream{Name: "lab", Format: Raw, Identity: "http://a", Sender: inbox, Credential: new(vault).credential}
				r := newRig(t, up)
				for range 40 {
					r.addEvent("lab", fromSource("a"), false)
				}
				elapse(time.Second / 2)
				if len(inbox.all()) != 0 || r.inFlight() != 40 {
					t.Fatalf("%d sent and %d claimed, want 0 and 40", len(inbox.all()), r.inFlight())
				}
				change(&up)
				r.apply(up)
				synctest.Wait()
				if len(inbox.all()) != 40 || r.count("lab", queue.Delivered) != 40 {
					t.Errorf("%d of 40 were sent at once", len(inbox.all()))
				}
			})
		})
	}
}

// What waits is asked of the queue anew now and then: an event that was purged
// meanwhile is forgotten, and its credential is not asked for any more.
func TestHeldForgetsWhatWasPurged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := &vault{}
		r := newRig(t, Upstream{Name: "lab", Format: Raw, Sender: answering(200), Credential: v.credential})
		item := r.addEvent("lab", fromSource("a"), false)
		elapse(time.Second / 2)
		r.failLoad(item.delivery.EventID, queue.ErrNotFound)
		elapse(heldRenewal + credentialCheck)
		if state, _ := r.state(item); state != queue.Dead || r.inFlight() != 0 {
			t.Fatalf("the purged event is %s, %d claimed", state, r.inFlight())
		}
		asked := v.count()
		elapse(time.Hour)
		if n := v.count(); n != asked {
			t.Errorf("asked for the credential %d times more", n-asked)
		}
	})
}

// An upstream that is taken out of the configuration keeps no claim, also where
// a credential is being asked for at that moment.
func TestHeldIsReleasedWithItsUpstream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked, answer := make(chan struct{}), make(chan struct{})
		var once sync.Once
		r := newRig(t, Upstream{Name: "lab", Format: Raw, Sender: answering(200), Credential: func(_, source, _ string) (string, bool) {
			if source == "slow" {
				once.Do(func() { close(asked) })
				<-answer
			}
			return "", false
		}})
		r.addEvent("lab", fromSource("a"), false)
		r.addEvent("lab", fromSource("slow"), false)
		<-asked
		r.apply()
		synctest.Wait()
		if r.inFlight() != 1 {
			t.Errorf("%d claimed, want that whose credential is being asked for", r.inFlight())
		}
		close(answer)
		synctest.Wait()
		if r.inFlight() != 0 || r.count("lab", queue.Pending) != 2 {
			t.Errorf("%d claimed and %d pending, want 0 and 2", r.inFlight(), r.count("lab", queue.Pending))
		}
	})
}

// Memory does not grow with what waits: beyond a bound the queue keeps it.
func TestHeldIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v, inbox := &vault{}, new(rawInbox)
		v.set("b", "secret of b")
		r := newRig(t)
		for range maxHeld + 100 {
			r.addEvent("lab", fromSource("a"), false)
		}
		r.apply(Upstream{Name: "lab", Format: Raw, Sender: inbox, Credential: v.credential, Retry: []time.Duration{}})
		elapse(time.Minute)
		if r.inFlight() != maxHeld || r.count("lab", queue.Pending) != maxHeld+100 {
			t.Fatalf("%d claimed and %d pending, want %d and %d", r.inFlight(), r.count("lab", queue.Pending), maxHeld, maxHeld+100)
		}
		r.addEvent("lab", fromSource("b"), false)
		synctest.Wait()
		if len(inbox.all()) != 1 {
			t.Error("an event that has its credential is not sent")
		}
		v.set("a", "secret of a")
		elapse(postponed)
		if n := r.count("lab", queue.Delivered); n != maxHeld+101 {
			t.Errorf("%d delivered, want all %d", n, maxHeld+101)
		}
		for _, sent := range inbox.all() {
			if !strings.HasSuffix(sent, " 1") {
				t.Fatalf("sent %q: waiting has used an attempt", sent)
			}
		}
	})
}

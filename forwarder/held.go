package forwarder

import (
	"maps"
	"slices"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

const (
	// credentialCheck is the time between two looks for a credential that
	// deliveries wait for.
	credentialCheck = time.Second

	// heldRenewal is the time after which deliveries that still wait go back to
	// the queue, which hands out again those whose events were not purged.
	heldRenewal = time.Minute

	// maxHeld is how many deliveries of an upstream wait for a credential in
	// memory. Further ones go back to the queue, due after postponed.
	maxHeld   = 10_000
	postponed = 10 * time.Minute
)

// A credential names the header that proves a provider's requests by being
// secret, as the handler with that source is configured.
type credential struct{ provider, source, header string }

// proof returns the headers that prove an event's provider, for the format raw.
// Where one of them is a secret that is not to be had now, ok is false and
// missing names it.
func (s *settings) proof(e *event.Event) (fields []event.Field, missing credential, ok bool) {
	if s.Format != Raw {
		return nil, credential{}, true
	}
	fields = slices.Clone(e.Proof) // the event is shared
	for i := range fields {
		if fields[i].Value != "" {
			continue
		}
		missing = credential{e.Provider, e.Source, fields[i].Name}
		if fields[i].Value, ok = s.value(missing); !ok {
			return nil, missing, false
		}
	}
	return fields, credential{}, true
}

func (s *settings) value(c credential) (string, bool) {
	if s.Credential == nil {
		return "", false
	}
	value, ok := s.Credential(c.provider, c.source, c.header)
	return value, ok && value != ""
}

// held are an upstream's deliveries that wait for a credential. They stay
// claimed, so that the queue hands out others, and have no slot. Nothing is
// recorded of them: no attempt is made.
type held struct {
	deliveries map[credential][]queue.Delivery
	count      int
	check      time.Time // when to look for the credentials
	renewal    time.Time // when to give everything back
}

// hold frees the slot of an attempt whose credential is missing, and keeps its
// delivery until the credential is there.
func (r *runner) hold(a *attempt, missing credential, now time.Time) {
	r.mu.Lock()
	keep := !r.retired && r.held.count < maxHeld
	if keep {
		if r.held.count == 0 {
			r.held.deliveries = make(map[credential][]queue.Delivery)
			r.held.check, r.held.renewal = now.Add(credentialCheck), now.Add(heldRenewal)
		}
		r.held.deliveries[missing] = append(r.held.deliveries[missing], a.delivery)
		r.held.count++
	}
	retired := r.retired
	r.limiter.AllowN(now, -1) // gives back what the attempt took
	r.mu.Unlock()
	switch {
	case keep:
	case retired:
		r.dispatcher.queue.Release(a.delivery)
	default:
		r.dispatcher.queue.Settle(queue.Outcome{
			Delivery: a.delivery, At: now, Result: queue.Failure, State: queue.Pending, Next: now.Add(postponed),
		})
	}
	r.abandon(a)
}

// resume gives deliveries whose credential is there back to the queue, once it
// is time to look.
func (r *runner) resume(now time.Time) {
	r.mu.Lock()
	if r.held.count == 0 || now.Before(r.held.check) {
		r.mu.Unlock()
		return
	}
	r.held.check = now.Add(credentialCheck)
	renew := !now.Before(r.held.renewal)
	if renew {
		r.held.renewal = now.Add(heldRenewal)
	}
	s := r.settings
	waiting := slices.Collect(maps.Keys(r.held.deliveries))
	r.mu.Unlock()
	for _, c := range waiting {
		if renew || s.Format != Raw {
			r.release(c)
		} else if _, ok := s.value(c); ok {
			r.release(c)
		}
	}
}

// release gives the deliveries that wait for a credential back to the queue.
func (r *runner) release(c credential) {
	r.mu.Lock()
	deliveries := r.held.deliveries[c]
	delete(r.held.deliveries, c)
	r.held.count -= len(deliveries)
	r.mu.Unlock()
	for _, d := range deliveries {
		r.dispatcher.queue.Release(d)
	}
}

// releaseAll gives everything that waits for a credential back to the queue.
func (r *runner) releaseAll() {
	r.mu.Lock()
	waiting := slices.Collect(maps.Keys(r.held.deliveries))
	r.mu.Unlock()
	for _, c := range waiting {
		r.release(c)
	}
}

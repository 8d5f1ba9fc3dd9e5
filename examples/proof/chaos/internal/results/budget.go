package results

import (
	"errors"
	"fmt"
	"time"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/scenario"
	"github.com/scribegate/scribegate/examples/providers/standin"
)

// A budget is how many requests about a transcription, or a file, may come.
//
// A request has an outcome that is stored before the next one, so only two things can cause another one of the
// same kind: an answer that failed, and a kill before the outcome was stored.
type budget struct {
	perLife int       // of one process, if no answer fails
	kills   int       // before it was made
	forged  time.Time // when the event of an unknown transcription was accepted; zero for others
	users   []string  // of a file: the transcriptions that have it

	failLater bool // the deletion that fails is that of the file
	failed    map[standin.Route]bool
	requests  int
}

const (
	// perTranscription are the requests about one in the life of a process: its status and its transcript for the
	// event, and for the deletion its file and the deletion.
	perTranscription = 4

	perFile = 1 // for each transcription that has it
)

// unknownWaits are the waits between the requests about a transcription that Soniox does not know. The last one
// is repeated.
var unknownWaits = []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 20 * time.Second, 30 * time.Second, time.Minute}

// limit returns how many requests may have come by now, if the gateway was killed so many times.
func (b *budget) limit(kills int, now time.Time) int {
	kills -= b.kills
	if b.forged.IsZero() {
		return b.perLife*(kills+1) + len(b.failed)
	}
	n := 1
	for at := b.forged; ; n++ {
		if at = at.Add(unknownWaits[min(n, len(unknownWaits))-1]); at.After(now) {
			return n + kills + len(b.failed)
		}
	}
}

// A spent is a summary of the requests about all transcriptions and files.
type spent struct {
	requests, most int
	over           error
}

// spent returns the requests so far, and an error if a budget is exceeded.
func (p *providerAPI) spent() spent {
	p.mu.Lock()
	defer p.mu.Unlock()
	var s spent
	now := time.Now()
	for id, b := range p.budgets {
		s.requests += b.requests
		s.most = max(s.most, b.requests)
		if limit := b.limit(p.kills, now); b.requests > limit && s.over == nil {
			s.over = fmt.Errorf("there were %d requests about %s, of which %d failed, in the lives of %d processes; at most %d are explained", b.requests, id, len(b.failed), p.kills-b.kills+1, limit)
		}
	}
	return s
}

// budget sets the budgets of a recording that is about to be made.
func (p *providerAPI) budget(r recording) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := &budget{perLife: perTranscription, kills: p.kills, failLater: scenario.Random(2) == 0, failed: make(map[standin.Route]bool)}
	p.budgets[r.id] = b
	if r.kind == forged {
		b.forged = time.Now()
		return
	}
	if r.kind != foreign {
		p.open[r.id] = true
	}
	file := p.budgets[r.file]
	if file == nil {
		file = &budget{kills: p.kills, failLater: b.failLater, failed: make(map[standin.Route]bool)}
		p.budgets[r.file] = file
	}
	b.failLater = file.failLater
	file.perLife += perFile
	file.users = append(file.users, r.id)
}

// about returns the number of requests about transcriptions that Soniox knows.
func (p *providerAPI) about() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, b := range p.budgets {
		if b.forged.IsZero() {
			n += b.requests
		}
	}
	return n
}

// firstWrong returns the first thing that must not have been requested.
func (p *providerAPI) firstWrong() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wrong != nil {
		return p.wrong
	}
	if len(p.budgets) == 0 {
		return errors.New("the API was not used")
	}
	return nil
}

// unasked returns how many of these transcriptions were never requested.
func (p *providerAPI) unasked(ids map[string]bool) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for id := range ids {
		if p.budgets[id].requests == 0 {
			n++
		}
	}
	return n
}

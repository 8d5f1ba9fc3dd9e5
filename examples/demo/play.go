package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/scribegate/scribegate/examples/backends/go/receive"
	"github.com/scribegate/scribegate/examples/internal/sender"
)

// A scene is the gateway and the backends of the demonstration.
type scene struct {
	gateway  string // URL
	soniox   string // URL of the API
	inbox    *inbox
	patience time.Duration               // maximum time until a backend has received an event
	idle     func(context.Context) error // waits until no delivery is pending
	out      printer
}

// play plays and prints the steps in order. It returns an error if a request, an answer
// or a delivery was not as expected.
func (sc scene) play(ctx context.Context, steps []step) error {
	wrong := 0
	var ids []string
	var sent []delivery
	for i, s := range steps {
		sc.out.step(i+1, s)
		id, err := sc.request(ctx, s, ids)
		if err == nil {
			ids = append(ids, id)
			for _, upstream := range s.upstreams {
				sent = append(sent, delivery{upstream, id})
			}
			err = sc.arrive(ctx, s, id)
		}
		if err != nil {
			wrong++
		}
		sc.out.verdict(err)
	}

	// Unexpected deliveries are complete only when no delivery is pending.
	if err := sc.idle(ctx); err != nil {
		sc.out.problem(err.Error())
		wrong++
	}
	problems := sc.inbox.check(sent)
	for _, problem := range problems {
		sc.out.problem(problem)
	}
	if wrong+len(problems) > 0 {
		return errors.New("the demonstration was not as expected: see the lines with WRONG above")
	}
	sc.out.done(len(steps), len(sent))
	return nil
}

// request sends the step's request and checks the answer. It returns the id of the event.
func (sc scene) request(ctx context.Context, s step, ids []string) (id string, err error) {
	answer, err := sc.send(ctx, s)
	if err != nil {
		return "", err
	}
	if err := s.check(answer, ids); err != nil || s.job == "" {
		return answer.ID, err
	}
	sc.out.webhook(s.job)
	ctx, cancel := sc.patient(ctx)
	defer cancel()
	return sc.inbox.eventOf(ctx, answer.ID)
}

func (sc scene) send(ctx context.Context, s step) (sender.Answer, error) {
	url := sc.gateway
	if s.job != "" {
		url = sc.soniox
	}
	request, err := s.sign(ctx, url+s.path, s.body)
	if err != nil {
		return sender.Answer{}, err
	}
	sc.out.request(request)
	answer, err := sender.Send(request)
	if err == nil {
		sc.out.answer(s, answer)
	}
	return answer, err
}

// arrive waits until the backends have received the step's event.
func (sc scene) arrive(ctx context.Context, s step, id string) error {
	ctx, cancel := sc.patient(ctx)
	defer cancel()
	if len(s.upstreams) == 0 {
		sc.out.nothing(s.status == http.StatusOK)
		return nil
	}
	var d receive.Delivery
	for _, upstream := range s.upstreams {
		var format string
		var err error
		if d, format, err = sc.inbox.wait(ctx, delivery{upstream, id}); err != nil {
			return err
		}
		sc.out.event(upstream, format, d)
	}
	sc.out.data(d)
	if s.job == "" {
		return nil
	}
	transcript, err := transcriptOf(d.Data)
	if err == nil {
		sc.out.transcript(transcript)
	}
	return err
}

// patient returns a context that ends when a backend should have received an event.
func (sc scene) patient(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, sc.patience, fmt.Errorf("it was not delivered within %s", sc.patience))
}

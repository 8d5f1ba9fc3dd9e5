package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/scribegate/scribegate/examples/proof/bench/internal/figures"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/gateway"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/load"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/postgres"
)

const (
	// recordSize is the size of the sealed record of an event with the usual body: the size of
	// the rows that pgbench inserts.
	recordSize = 1953
	// gatewayConnections is the default of max_connections.
	gatewayConnections = 8
	// spreadConnections are spread over 1, 2 and 3 gateways, so that each of the three has as
	// many as a gateway alone in the other lines.
	spreadConnections = 3 * usualConnections
)

// postgresMeasurements are the measurements of queue postgres. They need PostgreSQL.
var postgresMeasurements = []measurement{
	bareInsert("postgres-insert", usualConnections),
	bareInsert("postgres-insert-8", gatewayConnections),
	{"postgres-store", "store on PostgreSQL by the engine alone, 32 callers", false, func(ctx context.Context, b *bench) (figures.Sample, error) { return b.storeAlone(ctx) }},
	acceptTogether("postgres-accept", "accept durably on PostgreSQL", 1, usualConnections),
	deliverTogether("postgres-deliver", "accept on PostgreSQL and deliver", 1, usualConnections),
	acceptTogether("postgres-accept-of-1", "accept on PostgreSQL, 96 connections, 1 gateway", 1, spreadConnections),
	acceptTogether("postgres-accept-of-2", "the same, 2 gateways", 2, spreadConnections),
	acceptTogether("postgres-accept-of-3", "the same, 3 gateways", 3, spreadConnections),
	deliverTogether("postgres-deliver-of-1", "accept on PostgreSQL and deliver, 96 connections, 1 gateway", 1, spreadConnections),
	deliverTogether("postgres-deliver-of-2", "the same, 2 gateways", 2, spreadConnections),
	deliverTogether("postgres-deliver-of-3", "the same, 3 gateways", 3, spreadConnections),
}

// postgresLines returns the lines of queue postgres.
func postgresLines() []figures.Line {
	insert := fmt.Sprintf("pgbench, INSERT of the same row, %d connections", usualConnections)
	all := []figures.Line{
		{
			Name: "postgres-accept", Text: "durable accept on PostgreSQL", Against: insert,
			Of: figures.Of("postgres-accept", figures.Rate), Base: figures.Once("postgres-insert", figures.Rate),
			Least: 0.3, Aim: 3, Unit: figures.ShowRatio,
		}, {
			Name: "postgres-accept-8", Text: "durable accept on PostgreSQL", Against: fmt.Sprintf("pgbench, %d connections, as the gateway has", gatewayConnections),
			Of: figures.Of("postgres-accept", figures.Rate), Base: figures.Once("postgres-insert-8", figures.Rate), Unit: figures.ShowRatio,
		}, {
			Name: "postgres-store", Text: "store on PostgreSQL, the engine alone", Against: insert,
			Of: figures.Of("postgres-store", figures.Rate), Base: figures.Once("postgres-insert", figures.Rate),
			Least: 0.4, Aim: 3, Unit: figures.ShowRatio,
		}, {
			Name: "postgres-cpu", Text: "PostgreSQL's CPU per accepted event", Against: insert,
			Of: figures.Of("postgres-accept", figures.Server), Base: figures.Once("postgres-insert", figures.Server), Less: true,
			Least: 0.8, Aim: 0.33, Unit: figures.ShowRatio,
		}, {
			Name: "postgres-deliver", Text: "accept on PostgreSQL and deliver, steady", Against: insert,
			Of: figures.Of("postgres-deliver", figures.Rate), Base: figures.Once("postgres-insert", figures.Rate), Unit: figures.ShowRatio,
		},
	}
	for _, m := range []struct{ name, text string }{{"postgres-accept", "accept on PostgreSQL"}, {"postgres-deliver", "accept on PostgreSQL and deliver"}} {
		for n := 2; n <= 3; n++ {
			name := fmt.Sprintf("%s-of-%d", m.name, n)
			all = append(all, figures.Line{
				Name: name, Text: fmt.Sprintf("%s, %d gateways", m.text, n), Against: "1 gateway",
				Of: figures.Of(name, figures.Rate), Base: figures.Once(m.name+"-of-1", figures.Rate), Unit: figures.ShowRatio,
			})
		}
	}
	return all
}

// startPostgres starts the server, if a line needs it.
func (b *bench) startPostgres() (stop func(), err error) {
	if !b.table || !needPostgres(b.needed(choose(b.lines(), b.which))) {
		return func() {}, nil
	}
	if b.server, err = postgres.Start(b.dir); err != nil {
		return nil, fmt.Errorf("%w; -without-postgres (make bench POSTGRES=no) leaves its lines out", err)
	}
	return b.server.Stop, nil
}

// needPostgres reports whether one of the needed measurements needs PostgreSQL.
func needPostgres(needed map[string]bool) bool {
	return slices.ContainsFunc(postgresMeasurements, func(m measurement) bool { return needed[m.name] })
}

func bareInsert(name string, connections int) measurement {
	text := fmt.Sprintf("pgbench, INSERT of one row a transaction, %d connections", connections)
	return measurement{name, text, true, func(ctx context.Context, b *bench) (figures.Sample, error) { return b.insert(ctx, connections) }}
}

func acceptTogether(name, text string, gateways, connections int) measurement {
	return measurement{name, text, false, func(ctx context.Context, b *bench) (figures.Sample, error) {
		c, err := unreachable(ctx, 1)
		if err != nil {
			return figures.Sample{}, err
		}
		return b.together(ctx, gateways, c, trial{name: name, requests: b.notes(usualBody), connections: connections, ready: whenPaused, settled: stillPaused})
	}}
}

func deliverTogether(name, text string, gateways, connections int) measurement {
	return measurement{name, text, false, func(ctx context.Context, b *bench) (s figures.Sample, err error) {
		r, err := load.NewResponder(ctx, "0")
		if err != nil {
			return s, err
		}
		accepted := 0
		c := gateway.Durable(gateway.Upstream{Name: "ehr", URL: "http://" + r.Start().Address() + "/events"})
		s, err = b.together(ctx, gateways, c, trial{
			name: name, requests: b.notes(usualBody), connections: connections, backend: r,
			settled: func(ctx context.Context, g *gateway.Gateway, n int) error {
				accepted = n
				return g.Await(ctx, gateway.Waiting(0))
			},
		})
		r.Close()
		if err != nil {
			return s, err
		}
		return s, load.EachOnce(r.Deliveries(), accepted)
	}}
}

// together runs a trial of some gateways that share a new database.
func (b *bench) together(ctx context.Context, number int, c gateway.Configuration, t trial) (s figures.Sample, err error) {
	d, err := b.server.NewDatabase()
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, d.Drop()) }()
	all := make([]*gateway.Gateway, number)
	for i := range all {
		if all[i], err = b.newGateway(ctx); err != nil {
			return s, err
		}
		defer all[i].CloseInto(&err)
		if err := all[i].Start(ctx, c.In(d.DSN()), nil); err != nil {
			return s, err
		}
	}
	t.database = d
	if s, err = b.load(ctx, all[0], t, all[1:]...); err != nil || t.backend != nil {
		return s, err
	}
	return s, sameRow(ctx, d)
}

// sameRow checks that the gateway's records are as large as the rows of pgbench.
func sameRow(ctx context.Context, d *postgres.Database) error {
	size, err := d.RecordSize(ctx)
	if err == nil && math.Abs(size-recordSize) > recordSize/50 {
		err = fmt.Errorf("the sealed records have %.0f bytes, and pgbench inserts rows of %d: correct recordSize", size, recordSize)
	}
	return err
}

// insert measures pgbench with a new database.
func (b *bench) insert(ctx context.Context, connections int) (s figures.Sample, err error) {
	d, err := b.server.NewDatabase()
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, d.Drop()) }()
	if _, err := d.Insert(ctx, recordSize, connections, warmUp(b.slice)); err != nil {
		return s, err
	}
	return b.sampleOf(ctx, d, func() (figures.Sample, int, error) {
		i, err := d.Insert(ctx, recordSize, connections, b.slice)
		s := figures.LatencySample(i.Latencies)
		s.Rate = i.Rate
		return s, len(i.Latencies), err
	})
}

// postgresNotes returns the notes of the table of queue postgres.
func (b *bench) postgresNotes() []string {
	if b.noPostgres {
		return []string{"The lines of `queue postgres` were left out with -without-postgres."}
	}
	return []string{
		fmt.Sprintf("PostgreSQL runs on the same machine, and each contender has a new database of it. pgbench inserts a row of %d bytes into a table like the gateway's table of payloads, in a transaction of its own and with a prepared statement: as many bytes as a sealed record has. The gateway also stores the event's id, its columns and its delivery, with their indexes. It writes with one of its %d connections.", recordSize, gatewayConnections),
		fmt.Sprintf("The lines with 1, 2 and 3 gateways have %d connections in all, spread over the gateways. A trial of pgbench takes whole seconds.", spreadConnections),
	}
}

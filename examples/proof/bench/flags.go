package main

import (
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"regexp"
	"time"
)

// options are the options of the command line.
type options struct {
	caddy   string
	against string // another binary, measured alternately; "" if there is none
	dir     string
	rounds  int
	slice   time.Duration
	large   int
	which   *regexp.Regexp

	table, grid, growth bool // the parts to run
	list                bool
	noPostgres          bool // leave the lines of queue postgres out

	markdown, svg, profile string
}

// The values of -quick, for flags that are not set.
const (
	quickRounds = 1
	quickSlice  = 300 * time.Millisecond
	quickLarge  = 20_000
)

// parse reads the command line.
func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&o.caddy, "caddy", filepath.Join("bin", "caddy"), "`path` of the gateway's binary")
	flags.StringVar(&o.against, "against", "", "`path` of another gateway's binary, measured alternately with the first in every round")
	flags.StringVar(&o.dir, "dir", "", "`directory` for the queues; default: the system's temporary directory")
	flags.IntVar(&o.rounds, "rounds", 5, "how many times everything is measured")
	flags.DurationVar(&o.slice, "slice", 3*time.Second, "how long each contender is under load in a round")
	flags.IntVar(&o.large, "large", 1_000_000, "number of events in the large backlog")
	which := flags.String("lines", "", "a regular `expression` for the names of the lines to measure; default: all")
	flags.BoolVar(&o.grid, "grid", false, "measure combinations of bodies, connections and protocols, instead of the lines")
	flags.BoolVar(&o.growth, "growth", false, "measure how costs grow, instead of the lines")
	all := flags.Bool("all", false, "measure the lines, the grid and the growth")
	quick := flags.Bool("quick", false, fmt.Sprintf("measure with less precision: -rounds %d -slice %s -large %d", quickRounds, quickSlice, quickLarge))
	flags.StringVar(&o.markdown, "markdown", "", "write all tables to a `file` as Markdown")
	flags.StringVar(&o.svg, "svg", "", "draw the lines to a `file` as SVG")
	flags.StringVar(&o.profile, "profile", "", "a `directory` for profiles of the gateway's processor time and allocations, for each line")
	flags.BoolVar(&o.noPostgres, "without-postgres", false, "leave out the lines of queue postgres, which need PostgreSQL; the table says so")
	flags.BoolVar(&o.list, "list", false, "list the lines and exit")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q; choose lines with -lines", flags.Arg(0))
	}
	given := make(map[string]bool)
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if *quick {
		o.applyQuick(given)
	}
	if o.which, err = regexp.Compile(*which); err != nil {
		return o, fmt.Errorf("-lines: %w", err)
	}
	o.table = *all || !o.grid && !o.growth
	o.grid, o.growth = o.grid || *all, o.growth || *all
	return o, o.check()
}

// applyQuick sets the values of -quick, except for the flags in given.
func (o *options) applyQuick(given map[string]bool) {
	if !given["rounds"] {
		o.rounds = quickRounds
	}
	if !given["slice"] {
		o.slice = quickSlice
	}
	if !given["large"] {
		o.large = quickLarge
	}
}

// smallestLarge is the minimum of -large, so that each part of the backlog has some events.
const smallestLarge = 1000

func (o options) check() error {
	switch {
	case o.rounds < 1:
		return errors.New("-rounds must be at least 1")
	case o.slice < 100*time.Millisecond || o.slice > time.Minute:
		return errors.New("-slice must be from 100ms to 1m")
	case o.large < smallestLarge:
		return fmt.Errorf("-large must be at least %d", smallestLarge)
	case o.svg != "" && !o.table:
		return errors.New("-svg draws the lines, which -grid and -growth do not measure; add -all")
	case o.table && len(choose(o.lines(), o.which)) == 0:
		return errors.New("-lines matches no line; -list prints them")
	}
	return nil
}

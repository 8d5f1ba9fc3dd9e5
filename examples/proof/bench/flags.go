package main

import (
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"regexp"
	"time"
)

// options are what the command line says.
type options struct {
	caddy   string
	against string // another binary, measured in turn with it; "" is none
	dir     string
	rounds  int
	slice   time.Duration
	large   int
	which   *regexp.Regexp

	table, grid, growth bool // what is to be run
	list                bool

	markdown, svg, profile string
}

// What -quick changes, where nothing else is said.
const (
	quickRounds = 1
	quickSlice  = 300 * time.Millisecond
	quickLarge  = 20_000
)

// parse reads the command line.
func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&o.caddy, "caddy", filepath.Join("bin", "caddy"), "`path` of the gateway's binary")
	flags.StringVar(&o.against, "against", "", "`path` of another gateway's binary, measured in turn with the first in every round")
	flags.StringVar(&o.dir, "dir", "", "where the queues are made; default: the system's temporary `directory`")
	flags.IntVar(&o.rounds, "rounds", 5, "how often everything is measured")
	flags.DurationVar(&o.slice, "slice", 3*time.Second, "how long each contender is under load in a round")
	flags.IntVar(&o.large, "large", 1_000_000, "how many events the large backlog has")
	which := flags.String("lines", "", "a regular `expression` that the names of the lines to measure match; default: all")
	flags.BoolVar(&o.grid, "grid", false, "run bodies, connections and protocols against each other, instead of the lines")
	flags.BoolVar(&o.growth, "growth", false, "run what a cost grows with, instead of the lines")
	all := flags.Bool("all", false, "run the lines, the grid and the growth")
	quick := flags.Bool("quick", false, fmt.Sprintf("measure roughly: -rounds %d -slice %s -large %d", quickRounds, quickSlice, quickLarge))
	flags.StringVar(&o.markdown, "markdown", "", "write all tables into a `file` as Markdown")
	flags.StringVar(&o.svg, "svg", "", "draw the lines into a `file` as SVG")
	flags.StringVar(&o.profile, "profile", "", "a `directory` for profiles of the gateway's processor time and allocations under each line's load")
	flags.BoolVar(&o.list, "list", false, "list the lines and do nothing")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("%q means nothing here; choose lines with -lines", flags.Arg(0))
	}
	given := make(map[string]bool)
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if *quick {
		o.hurry(given)
	}
	if o.which, err = regexp.Compile(*which); err != nil {
		return o, fmt.Errorf("-lines: %w", err)
	}
	o.table = *all || !o.grid && !o.growth
	o.grid, o.growth = o.grid || *all, o.growth || *all
	return o, o.check()
}

// hurry is -quick.
func (o *options) hurry(given map[string]bool) {
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

// smallestLarge leaves each part of the large backlog some events.
const smallestLarge = 1000

func (o options) check() error {
	switch {
	case o.rounds < 1:
		return errors.New("-rounds has to be at least 1")
	case o.slice < 100*time.Millisecond || o.slice > time.Minute:
		return errors.New("-slice has to be from 100ms to 1m")
	case o.large < smallestLarge:
		return fmt.Errorf("-large has to be at least %d", smallestLarge)
	case o.svg != "" && !o.table:
		return errors.New("-svg draws the lines, which -grid and -growth leave out; add -all")
	case o.table && len(choose(o.lines(), o.which)) == 0:
		return errors.New("-lines matches no line; -list prints them")
	}
	return nil
}

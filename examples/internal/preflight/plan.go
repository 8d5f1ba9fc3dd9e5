package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
)

// A plan has the addresses that run.sh is about to use.
type plan struct {
	gateway string // URL of the site
	console string // URL of the console; "" if there is none
	admin   string // address of the admin API; "" for Caddy's default, "off" if it is disabled
	backend string // address of the demonstration backend; "" if it is not started
	events  string // URL of the upstream, without a password
	places  []place
}

// A place is an address to listen on, and the variable of the Caddyfile that sets it.
type place struct {
	what, address, variable string

	upstream bool
	with     func(address string) string // returns the variable's value for another address
}

// config is the part of the adapted Caddyfile that a plan needs.
type config struct {
	Admin struct {
		Disabled bool   `json:"disabled"`
		Listen   string `json:"listen"`
	} `json:"admin"`
	Apps struct {
		HTTP struct {
			Servers map[string]struct {
				Listen []string        `json:"listen"`
				Routes json.RawMessage `json:"routes"`
			} `json:"servers"`
		} `json:"http"`
		Scribegate struct {
			Upstreams []struct {
				URL string `json:"url"`
			} `json:"upstreams"`
		} `json:"scribegate"`
	} `json:"apps"`
}

const defaultAdmin = "localhost:2019"

func newPlan(adapted io.Reader, getenv func(string) string) (*plan, error) {
	var c config
	if err := json.NewDecoder(adapted).Decode(&c); err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	p := new(plan)
	for _, name := range slices.Sorted(maps.Keys(c.Apps.HTTP.Servers)) {
		server := c.Apps.HTTP.Servers[name]
		site := site{what: "the site", variable: "SCRIBEGATE_SITE", url: &p.gateway}
		if bytes.Contains(server.Routes, consoleHandler) && !bytes.Contains(server.Routes, siteHandler) {
			site.what, site.variable, site.url = "the console", "SCRIBEGATE_CONSOLE", &p.console
		}
		for _, address := range server.Listen {
			p.addSite(address, site, getenv(site.variable))
		}
		if site.url == &p.gateway && bytes.Contains(server.Routes, consoleHandler) {
			p.console = p.gateway
		}
	}
	listen := cmp.Or(c.Admin.Listen, defaultAdmin)
	if c.Admin.Disabled {
		listen = "off"
	} else if !strings.HasPrefix(listen, "unix/") {
		p.places = append(p.places, place{what: "the admin API", address: listen, variable: "CADDY_ADMIN", with: func(address string) string { return address }})
	}
	if listen != defaultAdmin {
		p.admin = listen
	}
	for _, u := range c.Apps.Scribegate.Upstreams {
		p.addUpstream(u.URL)
	}
	return p, nil
}

// The handlers by which a server's site is known.
var (
	siteHandler    = []byte(`"handler":"scribegate"`)
	consoleHandler = []byte(`"handler":"scribegate_console"`)
)

// A site is one of the two sites of the Caddyfile.
type site struct {
	what, variable string
	url            *string // in the plan
}

// addSite adds a listener of a site. block is the addresses of the site's block: the first one,
// if there is one, has the site's scheme and name.
func (p *plan) addSite(address string, s site, block string) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return // a unix socket
	}
	block, _, _ = strings.Cut(strings.ReplaceAll(block, ",", " "), " ")
	scheme, name, schemed := strings.Cut(block, "://")
	if !schemed {
		name = block
		if scheme = "https"; strings.HasPrefix(name, ":") || name == "" || port == "80" {
			scheme = "http"
		}
	}
	if named, _, err := net.SplitHostPort(name); err == nil {
		name = named
	}
	if *s.url == "" {
		*s.url = siteURL(scheme, cmp.Or(name, host), port)
	}
	p.places = append(p.places, place{what: s.what, address: address, variable: s.variable, with: func(address string) string {
		_, port, _ := net.SplitHostPort(address)
		if name == "" && scheme == "http" {
			return ":" + port
		}
		return scheme + "://" + name + ":" + port
	}})
}

func siteURL(scheme, host, port string) string {
	if host == "" || host == "0.0.0.0" || host == "::" {
		host = "127.0.0.1"
	}
	if scheme == "https" && port == "443" || scheme == "http" && port == "80" {
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		return scheme + "://" + host
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// addUpstream adds the demonstration backend. It is started only if the upstream is on this
// machine and uses plain HTTP.
func (p *plan) addUpstream(raw string) {
	u, err := url.Parse(raw)
	if err != nil || p.events != "" {
		return
	}
	p.events = u.Redacted()
	host := u.Hostname()
	if ip := net.ParseIP(host); u.Scheme != "http" || (host != "localhost" && (ip == nil || !ip.IsLoopback())) {
		return
	}
	p.backend = net.JoinHostPort(host, cmp.Or(u.Port(), "80"))
	p.places = append(p.places, place{what: "the backend", address: p.backend, variable: "SCRIBEGATE_UPSTREAM", upstream: true, with: func(address string) string {
		moved := *u
		moved.Host = address
		return moved.String()
	}})
}

// assignments returns the plan as assignments for a shell.
func (p *plan) assignments() string {
	var b strings.Builder
	for _, v := range [][2]string{{"gateway", p.gateway}, {"console", p.console}, {"admin", p.admin}, {"backend", p.backend}, {"events", p.events}} {
		fmt.Fprintf(&b, "%s='%s'\n", v[0], strings.ReplaceAll(v[1], "'", `'\''`))
	}
	return b.String()
}

// Package pages has the pages of the console: it shows the state of the gateway and its
// events, and replays or purges them.
//
// [Pages.Serve] answers a request that has passed the console's checks. Each page is a function
// that makes the data of a template from the current gateway. All visitors share one snapshot of
// the gateway, which is taken at most every 2 s and only if somebody looks. The script asks for
// the same pages with a header, and gets only the parts that change.
//
// No page has a part of a payload or of a query. Ids, subjects, types, reasons and names are
// texts of strangers, and html/template escapes them.
//
// The package imports packages gateway, activity, operate, logging and wording, queue, and Caddy
// for its durations.
package pages

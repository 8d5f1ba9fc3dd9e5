// Package secret resolves the secrets of a configuration.
//
// A configuration holds placeholders, {env.NAME} and {file./absolute/path}, and never
// the secrets themselves: Caddy shows its configuration in /config/ and stores a copy
// of it. [New] resolves a list of entries when the configuration is loaded, and returns
// a [List]. Its values follow the files of the entries: a changed file is in force
// within 5 s, without a reload. Reading the values never reads a file, so a mount that
// hangs delays no request. [Resolve] resolves one value once, for a command's flag.
//
// No error or log line of this package quotes a value.
//
// The package imports the standard library, zap, and package verifier for what a secret
// cannot contain. It does not import Caddy, whose replacer takes a brace that is not
// closed as text, and returns one string: here it is an error, and the value of a
// placeholder is checked apart from the text around it.
package secret

// Package table has the rows that scenarios return, prints them as text and as Markdown, and formats the
// figures in their notes.
package table

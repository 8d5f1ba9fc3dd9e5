// Package document runs an operator's commands and keeps them with their output as code
// blocks of the documentation. A test then compares the blocks with what the commands print.
package document

// SPDX-License-Identifier: Apache-2.0

package sqlite

import "strings"

// insertSizes are how many rows one statement inserts, largest first: enough to
// make the price of a call small, few enough to keep all of them prepared.
var insertSizes = [...]int{32, 8, 1}

// insertion inserts rows into a table, many by one statement.
type insertion struct {
	queries [len(insertSizes)]string
	columns int
}

// insertInto makes an insertion, for example for "entries (id, body)".
func insertInto(columns string) insertion {
	in := insertion{columns: strings.Count(columns, ",") + 1}
	row := "(?" + strings.Repeat(", ?", in.columns-1) + ")"
	for i, n := range insertSizes {
		in.queries[i] = "INSERT INTO " + columns + " VALUES " + row + strings.Repeat(", "+row, n-1)
	}
	return in
}

// run inserts rows, whose values follow each other.
func (in *insertion) run(t *tx, values []any) error {
	for i, n := range insertSizes {
		for n *= in.columns; len(values) >= n; values = values[n:] {
			if err := t.exec(in.queries[i], values[:n]...); err != nil {
				return err
			}
		}
	}
	return nil
}

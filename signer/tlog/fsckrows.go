// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
)

// checkRows returns what is wrong with each row, by itself and beside those
// before it, and with the global order of the shards.
func checkRows(rows []LogRow) [][]string {
	problems := make([][]string, len(rows))
	kinds := make(map[Kind][]int)
	for i := range rows {
		row := &rows[i]
		problem := func(format string, args ...any) {
			problems[i] = append(problems[i], fmt.Sprintf(format, args...))
		}
		checkRow(row, problem)
		for _, other := range rows[:i] {
			checkPair(row, &other, problem)
		}
		if row.FirstIndex != Unplaced {
			kinds[row.Kind] = append(kinds[row.Kind], i)
		}
	}
	for _, shards := range kinds {
		slices.SortStableFunc(shards, func(a, b int) int { return compareShards(&rows[a], &rows[b]) })
		next := int64(0)
		for n, i := range shards {
			row := &rows[i]
			if row.FirstIndex != next {
				problems[i] = append(problems[i], fmt.Sprintf("first index is %d, the shards before have %d entries", row.FirstIndex, next))
			}
			if n < len(shards)-1 && row.State != Frozen {
				problems[i] = append(problems[i], fmt.Sprintf("is %s and has a shard after it", row.State))
			}
			next = row.FirstIndex + row.Head.Size
		}
	}
	return problems
}

// compareShards orders logs of one kind as they became active.
func compareShards(a, b *LogRow) int {
	return cmp.Or(cmp.Compare(a.FirstIndex, b.FirstIndex), cmp.Compare(b.State.rank(), a.State.rank()))
}

func checkRow(row *LogRow, problem func(string, ...any)) {
	birth := Birth{Kind: row.Kind, TreeID: row.TreeID, State: Pending}
	if err := birth.check(row.Origin); err != nil {
		problem("%v", err)
	}
	switch row.State {
	case Pending:
		if row.FirstIndex != Unplaced {
			problem("is pending and has a first index, %d", row.FirstIndex)
		}
	case Active:
		if row.FirstIndex == Unplaced {
			problem("is active without a first index")
		}
	case Frozen:
	default:
		problem("state is %q", row.State)
	}
}

func checkPair(row, other *LogRow, problem func(string, ...any)) {
	for _, same := range []struct {
		what string
		yes  bool
	}{
		{"name", row.Name == other.Name},
		{"tree id", row.TreeID == other.TreeID},
		{"origin", row.Origin == other.Origin},
		{"key", bytes.Equal(row.Key, other.Key)},
	} {
		if same.yes {
			problem("has the %s of log %q", same.what, other.Name)
		}
	}
}

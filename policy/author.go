// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"regexp"
	"strings"
)

// checkScheme refuses authors that nobody can ever be: identities of workflows are URIs, and one without its scheme is somebody's slip. Of a
// regular expression only the beginning that is written out is looked at.
func checkScheme(path string, author VEXAuthor) error {
	if author.AuthorRegexp == "" {
		if strings.Contains(author.Author, "://") {
			return nil
		}
		return fieldErrorf(path+".author", "%s can be nobody: an identity is a URI with its scheme (hint: https://%s)", shown(author.Author), strings.TrimLeft(author.Author, "/"))
	}
	pattern, err := regexp.Compile(strings.TrimPrefix(author.AuthorRegexp, "^"))
	if err != nil {
		return fieldErrorf(path+".authorRegexp", "%v", err)
	}
	begins, whole := pattern.LiteralPrefix()
	host, _, more := strings.Cut(begins, "/")
	if (more || whole) && !strings.HasSuffix(host, ":") {
		return fieldErrorf(path+".authorRegexp", "can match nobody: an identity is a URI with its scheme (hint: https://%s)", author.AuthorRegexp)
	}
	return nil
}

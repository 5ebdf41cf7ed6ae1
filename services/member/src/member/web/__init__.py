"""The HTTP transport: REST and its documentation, the pages of links, the development inbox."""

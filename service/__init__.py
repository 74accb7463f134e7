"""Gongduan (公断): refund-dispute intervention for marketplaces."""

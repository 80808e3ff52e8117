"""The leaderboard: submissions, their ranks, and the page that shows them."""

# The R side of glmnet.py: a line of input is a request, a line of output its answer.
suppressMessages({library(Matrix); library(glmnet)})

folder <- commandArgs(trailingOnly = TRUE)[1]
glmnet.control(fdev = 0, devmax = 1, mnlam = 100000)

read_doubles <- function(name, n) readBin(file.path(folder, name), "double", n)
read_integers <- function(name, n) readBin(file.path(folder, name), "integer", n)
write_values <- function(name, values) {
  target <- file(file.path(folder, name), "wb")
  writeBin(values, target)
  close(target)
}

read_data <- function(form, n, p, n_stored) {
  y <<- read_doubles("y", n)
  folds <<- read_integers("folds", n)
  if (form == "dense") {
    X <<- matrix(read_doubles("X", n * p), n, p)
  } else {
    X <<- new("dgCMatrix", i = read_integers("X_rows", n_stored),
              p = read_integers("X_starts", p + 1), x = read_doubles("X", n_stored),
              Dim = as.integer(c(n, p)))
  }
}

fit <- function(what, tol, variant) {
  alphas <- read_doubles("alphas", 100000)
  arguments <- list(x = X, y = y, lambda = alphas, standardize = FALSE, intercept = FALSE,
                    thresh = tol, maxit = 1e9, type.gaussian = variant)
  if (what == "cv") arguments <- c(arguments, list(foldid = folds, keep = TRUE))
  start <- proc.time()[["elapsed"]]
  result <- do.call(if (what == "cv") cv.glmnet else glmnet, arguments)
  start <- proc.time()[["elapsed"]] - start
  path <- if (what == "cv") result$glmnet.fit else result
  write_values("starts", path$beta@p)
  write_values("rows", path$beta@i)
  write_values("values", path$beta@x)
  if (what == "cv") {
    squares <- (result$fit.preval - y)^2
    write_values("mse", unlist(lapply(sort(unique(folds)),
                                      function(k) colMeans(squares[folds == k, , drop = FALSE]))))
  }
  start
}

requests <- file("stdin", "r")
while (length(line <- readLines(requests, n = 1)) > 0) {
  words <- strsplit(line, " ")[[1]]
  answer <- tryCatch({
    if (words[1] == "data") {
      sizes <- as.numeric(words[3:5])
      read_data(words[2], sizes[1], sizes[2], sizes[3])
      "ok"
    } else {
      format(fit(words[1], as.numeric(words[2]), words[3]), digits = 9)
    }
  }, error = function(e) "failed")
  cat(answer, "\n", sep = "")
  flush(stdout())
}
